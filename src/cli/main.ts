#!/usr/bin/env node
import { Command, InvalidArgumentError } from 'commander';
import { version } from '../../package.json';
import { endWithNpm } from './end-with-npm';

endWithNpm();

// Each command loads what it needs when it runs: starting a role is not the sum of all of them.
const program = new Command('posthorn').version(version).description('Durable webhook delivery.');

program
  .command('dev')
  .description('everything in one process; starts Postgres and Temporal where no address is configured')
  .option('--data-dir <folder>', 'where embedded servers keep their data')
  .option('--ephemeral', 'keep nothing after the end')
  .option('--postgres-port <port>', 'port of the embedded Postgres (default: a free one)', toPort)
  .option('--temporal-port <port>', 'port of the embedded Temporal (default: a free one)', toPort)
  .option('--temporal-ui-port <port>', "port of Temporal's web UI (default: 8233, or a free one)", toPort)
  .action(async (options) => (await import('./dev.js')).runDev(options));
program
  .command('api')
  .description('the HTTP API')
  .action(async () => (await import('./roles.js')).runApi());
program
  .command('worker')
  .description('relay, workflows and activities')
  .option('--priorities <priorities>', 'take only deliveries of these priorities from the queue: high,normal,low')
  .action(async (options) => (await import('./roles.js')).runWorker(options));
program
  .command('migrate')
  .description('bring the database to this version')
  .action(async () => (await import('./migrate.js')).runMigrate());
const tenants = program.command('tenants').description('who has webhooks, events and keys of their own');
tenants
  .command('create')
  .argument('<name>')
  .description('make a tenant; prints its id')
  .action(async (name) => (await import('./tenants.js')).runCreateTenant(name));
tenants
  .command('list')
  .description('every tenant, newest first')
  .action(async () => (await import('./tenants.js')).runListTenants());
const keys = program.command('keys').description('API keys of tenants and administrators');
keys
  .command('create')
  .description('make an API key; prints it, once')
  .option('--tenant <tenant>', 'id or name of the tenant')
  .option('--scopes <scopes>', 'publish,read,manage')
  .option('--admin', 'a key for tenants and keys, and nothing else')
  .option('--name <name>', 'what it is for')
  .option('--expires <duration>', 'for so long from now, such as 90d (default: for ever)')
  .option('--environment <word>', 'stands after ph_ (default: live)')
  .action(async (options) => (await import('./keys.js')).runCreateKey(options));
keys
  .command('list')
  .description('every key, newest first, without the keys themselves')
  .option('--tenant <tenant>', 'id or name of the tenant')
  .action(async (options) => (await import('./keys.js')).runListKeys(options));
keys
  .command('revoke')
  .argument('<key id>')
  .description('make a key useless, within 5 s')
  .action(async (id) => (await import('./keys.js')).runRevokeKey(id));
const secrets = program.command('secrets').description('what is sealed at rest');
secrets
  .command('reencrypt')
  .description('seal everything again under the first key of POSTHORN_ENCRYPTION_KEYS')
  .action(async () => (await import('./secrets.js')).runReencrypt());
program
  .command('demo')
  .description('the main job as a script that ends: deliver, retry, replay, cancel, reschedule')
  .option('--json', 'print one line of JSON')
  .action(async (options) => (await import('./demo/run-demo.js')).runDemo(options));
program
  .command('schema', { hidden: true })
  .description('write migrations/schema.sql from a freshly migrated database, or check it')
  .option('--check', 'fail where the file is not up to date')
  .action(async (options) => (await import('./schema.js')).runSchema(options));

program
  .command('openapi', { hidden: true })
  .description('write docs/openapi.json from the route table, or check it')
  .option('--check', 'fail where the file is not up to date')
  .action(async (options) => (await import('./openapi.js')).runOpenApi(options));

program.parseAsync().catch((error: unknown) => {
  // One clear line for people; the stack only when asked for.
  const text = error instanceof Error ? error.message : String(error);
  console.error(`posthorn: ${text || (error as { code?: string }).code || 'failed'}`);
  if (process.env.POSTHORN_LOG_LEVEL === 'debug') console.error(error);
  process.exit(1);
});

function toPort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('A port is a number up to 65535.');
}
