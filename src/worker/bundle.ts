import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

/** Build step: bundles the workflow code once, so that a worker starts without webpack. */
async function main(): Promise<void> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: require.resolve('../workflows'),
    logger: new DefaultLogger('WARN'),
  });
  const target = path.join(__dirname, '..', '..', 'workflow-bundle.js');
  await writeFile(target, code);
  console.error(`workflow bundle: ${Math.round(code.length / 1024)} kB`);
}

void main();
