import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Who may import whom (docs: architecture): each rule is seen to bite, and to leave alone what it allows. */

const ROOT = path.join(__dirname, '..', '..');

const FORBIDDEN: [folder: string, code: string][] = [
  ['domain', `import '../db/database';`],
  ['domain', `import type { Pool } from 'pg';`],
  ['domain', `import { randomBytes } from 'node:crypto';`],
  ['domain', `export * from '../api/errors';`],
  ['workflows', `import fs from 'node:fs';`],
  ['workflows', `import '../db/database';`],
  ['workflows', `import { Client } from '@temporalio/client';`],
  ['workflows', `import { createActivities } from '../activities/activities';`],
  ['workflows', `import { type AttemptSummary } from '../delivery/types';`],
  ['workflows', `import '../delivery/make-attempt';`],
  ['workflows', `export { decide } from '../delivery/decide';`],
  ['workflows', `await import('../delivery/decide');`],
  ['delivery', `import '../relay/relay';`],
  ['delivery', `import '../api/errors';`],
  ['delivery', `import '../config';`],
  ['delivery', `import { Client } from '@temporalio/client';`],
  ['activities', `import '../egress/send';`],
  ['activities', `import '../relay/relay';`],
  ['activities', `import '../config';`],
  ['relay', `import '../egress/send';`],
  ['relay', `import '../workflows/deliver-webhook';`],
  ['relay', `import '../worker/workers';`],
  ['egress', `import '../db/database';`],
  ['egress', `import express from 'express';`],
  ['relay/express', `import '../../egress/send';`],
  ['relay/express', `import '../../db/store/webhooks';`],
  ['concurrency', `import '../db/database';`],
  ['concurrency', `import { Pool } from 'pg';`],
  ['crypto', `import '../config';`],
  ['http', `import '../api/errors';`],
  ['temporal', `import '../relay/relay';`],
  ['temporal', `import '../db/store/webhooks';`],
  ['db/queue', `import '../store/webhooks';`],
  ['db/queue', `import '../publish/publisher';`],
  ['db/publish', `import '../store/webhooks';`],
  ['db/store', `import { Pool } from 'pg';`],
  ['db/store', `import '../publish/publisher';`],
  ['db', `import './store/webhooks';`],
  ['db', `import '../delivery/types';`],
  ['db', `import '../log';`],
  ['db', `import '../egress/send';`],
  ['api', `import '../egress/send';`],
  ['api', `import '../relay/relay';`],
  ['api', `import '../worker/workers';`],
  ['api', `import { Pool } from 'pg';`],
  ['api', `import { PosthornTenant } from '../workflows/contract';`],
  ['api/handlers', `import '../../egress/send';`],
  ['api/handlers', `import '../../delivery/decide';`],
  ['metrics', `import '../delivery/in-flight';`],
  ['metrics', `import '../relay/relay';`],
  ['metrics', `import '../api/errors';`],
  ['worker', `import '../api/app';`],
  ['worker', `import '../api/handlers/events';`],
  ['api', 'console.log(process.env.PATH);'],
  ['worker', 'console.log(process.env.PATH);'],
  ['db', 'console.log(process.env.PATH);'],
  ['domain', `export const good = URL.canParse('x');`],
  ['egress', `export const good = globalThis.URL.canParse('x');`],
  ['api', `const { canParse } = URL; export { canParse };`],
  ['api/handlers', `const { canParse: check } = URL; export { check };`],
  ['workflows', `export const good = URL['canParse']('x');`],
  ['cli', `export const good = ['x'].filter(URL.canParse);`],
];

const ALLOWED: [folder: string, code: string][] = [
  ['domain', `import './durations';`],
  ['domain', `export const url = new URL('https://example.com'); // never canParse`],
  ['workflows', `import type { AttemptSummary } from '../delivery/types';`],
  ['workflows', `import type { Activities } from '../activities/activities';`],
  ['workflows', `import { condition } from '@temporalio/workflow';`],
  ['delivery', `import '../egress/send'; import '../db/queue/leases'; import '../log';`],
  ['activities', `import '../delivery/make-attempt';`],
  [
    'relay/express',
    `import '../relay'; import '../../db/queue/claim-express'; import '../../temporal/start-delivery';`,
  ],
  ['concurrency', `import './rest'; import '../domain/rate-limit';`],
  ['temporal', `import { Client } from '@temporalio/client'; import '../workflows/contract';`],
  ['db/queue', `import '../database'; import './lease-holders'; import { Pool } from 'pg';`],
  ['db/publish', `import '../queue/gate-conditions'; import { Pool } from 'pg';`],
  ['db/store', `import '../database'; import '../queue/reopen'; import { sql } from 'kysely';`],
  ['relay', `import { PosthornTenant } from '../workflows/contract';`],
  ['egress', `import { Agent } from 'undici';`],
  ['db', `import { sql } from 'kysely';`],
  ['api', `import '../config'; import '../egress/signatures'; import './handlers/events';`],
  ['api', `import Ajv2020 from 'ajv/dist/2020';`],
  ['api/handlers', `import '../errors'; import '../../db/store/events'; import '../schemas/events';`],
  ['api', `import type { WorkflowStatus } from '../workflows/contract';`],
  ['metrics', `import { Registry } from 'prom-client'; import '../domain/priorities'; import '../http/server';`],
  ['worker', `import '../relay/relay';`],
  ['cli', 'console.log(process.env.PATH);'],
  ['embedded', 'console.log(process.env.PATH);'],
];

let folder: string;
let complaints: string[];

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'posthorn-lint-'));
  cpSync(path.join(ROOT, 'biome.json'), path.join(folder, 'biome.json'));
  cpSync(path.join(ROOT, 'tools', 'lint'), path.join(folder, 'tools', 'lint'), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  for (const [i, [place, code]] of FORBIDDEN.entries()) write(`src/${place}/forbidden-${i}.ts`, code);
  for (const [i, [place, code]] of ALLOWED.entries()) write(`src/${place}/allowed-${i}.ts`, code);
  complaints = lint();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(FORBIDDEN.map(([place, code], i) => [place, code, i] as const))('src/%s: not %s', (place, _code, i) => {
  expect(complaints).toContain(`src/${place}/forbidden-${i}.ts`);
});

test.each(ALLOWED.map(([place, code], i) => [place, code, i] as const))('src/%s: %s', (place, _code, i) => {
  expect(complaints).not.toContain(`src/${place}/allowed-${i}.ts`);
});

function write(file: string, code: string): void {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  writeFileSync(path.join(folder, file), `${code}\n`);
}

/** The files that break a rule of tools/lint; other rules do not count here. */
function lint(): string[] {
  const biome = path.join(ROOT, 'node_modules', '.bin', 'biome');
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', '--diagnostic-level=error', 'src'];
  const { stdout } = spawnSync(biome, args, { cwd: folder, encoding: 'utf8' });
  const report = JSON.parse(stdout) as { diagnostics: { category: string; location: { path: string } }[] };
  return report.diagnostics
    .filter(({ category }) => /noRestrictedImports|noProcessEnv|plugin/.test(category))
    .map(({ location }) => location.path);
}
