import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { WORKFLOW_CODE } from './workflow-code';

/** Build step: bundles the workflow code once, so that a worker starts without webpack. */
async function main(): Promise<void> {
  const { code } = await bundleWorkflowCode({
    ...WORKFLOW_CODE,
    logger: new DefaultLogger('WARN'),
  });
  const target = path.join(__dirname, '..', '..', 'workflow-bundle.js');
  await writeFile(target, code);
  console.error(`workflow bundle: ${Math.round(code.length / 1024)} kB`);
}

void main();
