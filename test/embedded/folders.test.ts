import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { closeDataFolder, temporaryDataDir } from '../../src/embedded/folders';
import { postgresUser } from '../../src/embedded/postgres-user';

const base = mkdtempSync(path.join(tmpdir(), 'posthorn-test-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const modeOf = (file: string) => (statSync(file).mode & 0o7777).toString(8);
let folders = 0;
function folder(mode: number, files: Record<string, number> = {}): string {
  const made = path.join(base, `data-${folders++}`);
  mkdirSync(made);
  for (const [name, fileMode] of Object.entries(files)) {
    writeFileSync(path.join(made, name), 'x');
    chmodSync(path.join(made, name), fileMode);
  }
  chmodSync(made, mode);
  return made;
}

/** Nobody else's; run by root, the user that runs Postgres may pass through and see nothing. */
const user = postgresUser();
const CLOSED = user ? '710' : '700';
function expectClosed(made: string): void {
  expect(modeOf(made)).toBe(CLOSED);
  if (user) expect(statSync(made)).toMatchObject({ uid: 0, gid: user.gid });
}

test('a new data folder is closed, whatever the umask', () => {
  const before = process.umask(0);
  try {
    const made = path.join(base, 'deep', 'er', 'data');
    expect(closeDataFolder(made)).toBe(true);
    expectClosed(made);
    expectClosed(temporaryDataDir());
  } finally {
    process.umask(before);
  }
});

test.each([0o755, 0o777, 0o775, 0o711])(
  'a data folder that was there, made with %o, is closed with its files',
  (mode) => {
    const files = { 'dev-keys.json': 0o644, 'dev-inbox.json': 0o664, 'posthorn.log': 0o644, 'temporal.db': 0o644 };
    const made = folder(mode, files);
    expect(closeDataFolder(made)).toBe(true);
    expectClosed(made);
    for (const name of Object.keys(files)) expect(modeOf(path.join(made, name))).toBe('600');
  },
);

test('what a link in it leads to is not touched', () => {
  const target = path.join(base, 'elsewhere');
  writeFileSync(target, 'x');
  chmodSync(target, 0o644);
  const made = folder(0o755);
  symlinkSync(target, path.join(made, 'posthorn.log'));
  closeDataFolder(made);
  expect(modeOf(target)).toBe('644');
});

test('a folder with other things in it is left as it is, and so is one that is everybody’s', () => {
  const home = folder(0o755, { 'dev-keys.json': 0o600, 'public.html': 0o644 });
  expect(closeDataFolder(home)).toBe(false);
  expect(modeOf(home)).toBe('755');
  expect(modeOf(path.join(home, 'public.html'))).toBe('644');
  const shared = folder(0o1777);
  expect(closeDataFolder(shared)).toBe(false);
  expect(modeOf(shared)).toBe('1777');
});

(user ? test : test.skip)('the user that runs Postgres passes through, and others do not', () => {
  const made = folder(0o755, { 'dev-keys.json': 0o644 });
  const inner = path.join(made, 'postgres');
  mkdirSync(inner, { mode: 0o755 });
  chmodSync(base, 0o755);
  closeDataFolder(made);
  const list = (what: string, ids: object) => () =>
    execFileSync('ls', [what], { ...ids, env: { PATH: process.env.PATH }, cwd: '/', stdio: 'pipe' });
  const postgres = { uid: user!.uid, gid: user!.gid };
  expect(list(inner, postgres)).not.toThrow();
  expect(list(made, postgres)).toThrow('Permission denied');
  const stranger = { uid: 54_321, gid: 54_321 };
  expect(list(inner, stranger)).toThrow('Permission denied');
});
