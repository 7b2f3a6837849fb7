/**
 * The package as a stranger installs it: built, packed, unpacked into a project's node_modules, type-checked and run there.
 * Nothing is written into the source tree: the build happens in a copy.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tempFolder } from './support/devices.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SOURCES = ['clock', 'crdt', 'acl', 'core', 'multiwriter', 'adapters', 'cli', 'scripts']
const FILES = ['index.ts', 'errors.ts', 'package.json', 'tsconfig.json', 'tsconfig.build.json']

const folder = await tempFolder()
const copy = path.join(folder.path, 'copy')
const consumer = path.join(folder.path, 'consumer')
const installed = path.join(consumer, 'node_modules', 'manyhands')

test.after(() => folder.remove())

test.before(() => {
  copySources()
  node(copy, 'scripts/build.mjs')
  install(pack())
})

function copySources(): void {
  mkdirSync(copy)
  for (const name of [...FILES, ...SOURCES, 'LICENSE', 'README.md', 'docs']) {
    const from = path.join(ROOT, name)
    if (existsSync(from)) cpSync(from, path.join(copy, name), { recursive: true })
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'))
}

/** What `npm publish` would send. The build was done already. @returns the tarball */
function pack(): string {
  const args = [
    'pack',
    '--ignore-scripts',
    '--offline',
    '--json',
    '--pack-destination',
    folder.path
  ]
  execFileSync('npm', args, { cwd: copy, stdio: 'pipe' })
  const tarball = readdirSync(folder.path).find((name) => name.endsWith('.tgz'))
  if (tarball === undefined) throw new Error('npm pack made no tarball')
  return path.join(folder.path, tarball)
}

/** As npm would, but with the dependencies that are here already. */
function install(tarball: string): void {
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['xzf', tarball, '--strip-components=1', '-C', installed])
  const modules = path.join(ROOT, 'node_modules')
  for (const name of readdirSync(modules)) {
    if (name.startsWith('.') || name === 'manyhands') continue
    symlinkSync(path.join(modules, name), path.join(consumer, 'node_modules', name))
  }
  writeFileSync(path.join(consumer, 'package.json'), '{ "type": "module", "private": true }\n')
}

function node(cwd: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
  assert.is(status, 0, `node ${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

/** Type-checks files of the consumer's as strictly as a consumer may; the compiler's start is most of what that costs. */
function typecheck(...files: readonly string[]): void {
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = [
    '--noEmit --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --target es2023',
    // The DOM for Yjs: its own declarations name it.
    '--module nodenext --moduleResolution nodenext --types node --lib es2023,esnext.disposable,dom',
    '--skipLibCheck false'
  ]
  node(consumer, tsc, ...options.join(' ').split(' '), ...files)
}

const SESSION = `
import { isManyhandsError, openDevice, stampToText } from 'manyhands'
import type { Change, Device, Entry, ErrorCode, MultiBee, Space, Stamp, Value } from 'manyhands'
import { HybridLogicalClock } from 'manyhands/clock'
import { encodeValue } from 'manyhands/crdt'
import { resolveMembership } from 'manyhands/acl'
import { MemoryNetwork } from 'manyhands/core'
import { iterate, mergeSorted, openMultiBee, WriterList } from 'manyhands/multiwriter'
import { mkdtempSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'

const folder = mkdtempSync('device-')
const laptop: Device = await openDevice({ storage: join(folder, 'laptop'), name: 'Laptop' })
const phone = await openDevice({ storage: join(folder, 'phone') })
const space: Space = await laptop.createSpace({ name: 'Family', open: true })
const same = await phone.openSpace(space.ticket)
const stream = space.replicate(true)
stream.pipe(same.replicate(false)).pipe(stream)

const contacts: MultiBee<string, { phone: string }> = same.db.sub('contacts')
const changes: AsyncIterableIterator<Change<string, { phone: string }>> = contacts.watch({ gte: 'a' })
await space.db.sub('contacts').put('ann', { phone: '1' })
for await (const { key, current } of changes) {
  console.log('change', key, current?.value.phone)
  break
}
const entry: Entry<string, { phone: string }> | null = await contacts.get('ann')
const stamp: Stamp | undefined = entry?.stamp
console.log('entry', entry?.value.phone, stamp !== undefined && stampToText(stamp).length > 0)
for await (const { key } of contacts.createReadStream({ gte: 'a', limit: 5 })) console.log('key', key)

try {
  await space.db.put('', 1)
} catch (error) {
  const code: ErrorCode = 'KEY_INVALID'
  if (isManyhandsError(error, code)) console.log('code', error.code)
}
const value: Value = { list: [1, 'x', null, new Uint8Array(1)] }
console.log('bytes', encodeValue(value).byteLength > 0)

export const socketOf = (socket: net.Socket): net.Socket => space.replicate(socket, { initiator: true })
export const parts = [HybridLogicalClock, MemoryNetwork, iterate, mergeSorted, openMultiBee, resolveMembership, WriterList]
await laptop.close()
await phone.close()
`

const ENTRIES = ['', '/clock', '/crdt', '/core', '/multiwriter', '/yjs', '/automerge-repo']

/** Does not compile when an export of an entry is `any`. */
const TYPED = `${ENTRIES.map(
  (entry, i) => `
import * as e${i} from 'manyhands${entry}'
export const typed${i}: NoneIsAny<typeof e${i}> = true`
).join('')}
type IsAny<T> = 0 extends 1 & T ? true : false
type AnyNames<M> = { [K in keyof M]: IsAny<M[K]> extends true ? K : never }[keyof M]
type NoneIsAny<M> = [AnyNames<M>] extends [never] ? true : AnyNames<M>`

test('a consumer type-checks against it, strictly, without skipLibCheck, and no export is any', () => {
  writeFileSync(path.join(consumer, 'session.ts'), SESSION)
  writeFileSync(path.join(consumer, 'typed.ts'), TYPED)
  typecheck('session.ts', 'typed.ts')
})

test('a consumer runs a session of two devices with it', () => {
  const { outputText } = transpile(SESSION)
  writeFileSync(path.join(consumer, 'session.mjs'), outputText)
  const lines = node(consumer, 'session.mjs').trim().split('\n')
  assert.equal(lines, ['change ann 1', 'entry 1 true', 'key ann', 'code KEY_INVALID', 'bytes true'])
})

test('the command runs as it is installed', () => {
  const { bin } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8')) as {
    bin: { readonly manyhands: string }
  }
  const manyhands = (...args: readonly string[]) =>
    node(consumer, path.join(installed, bin.manyhands), '--store', 'by-command', ...args)
  manyhands('init', '--name', 'Laptop')
  manyhands('space', 'create', 'Notes')
  manyhands('put', 'a', '[1,2]')
  assert.is(manyhands('get', 'a'), '[1,2]\n')
  assert.match(
    readFileSync(path.join(installed, bin.manyhands), 'utf8'),
    /^#!\/usr\/bin\/env node\n/
  )
})

function transpile(text: string): { readonly outputText: string } {
  const script = `
    import ts from 'typescript'
    import { readFileSync } from 'node:fs'
    const text = readFileSync(0, 'utf8')
    const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
    process.stdout.write(ts.transpileModule(text, { compilerOptions }).outputText)`
  const args = ['--input-type=module', '--eval', script]
  return {
    outputText: execFileSync(process.execPath, args, { cwd: ROOT, input: text, encoding: 'utf8' })
  }
}

test('what is packed is dist, the licence and the readme: no sources, tests or settings', () => {
  const top = readdirSync(installed).filter(
    (name) => !['README.md', 'LICENSE', 'CHANGELOG.md'].includes(name)
  )
  assert.equal(top.sort(), ['dist', 'package.json'])
  const files = readdirSync(path.join(installed, 'dist'), { recursive: true, encoding: 'utf8' })
  assert.ok(files.includes(path.join('core', 'stack.d.ts')))
  assert.equal(
    files.filter((file) => /(?<!\.d)\.ts$|test|bench|demo/.test(file)),
    []
  )
})

test('every subpath of the exports is there, and nothing else can be imported', () => {
  const { exports } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8')) as {
    exports: Record<string, string | Record<string, string>>
  }
  const targets = Object.values(exports).flatMap((each) =>
    typeof each === 'string' ? [each] : Object.values(each)
  )
  for (const target of targets) assert.ok(existsSync(path.join(installed, target)), target)
  const script = "import('manyhands/dist/index.js').catch((error) => console.log(error.code))"
  assert.is(node(consumer, '-e', script).trim(), 'ERR_PACKAGE_PATH_NOT_EXPORTED')
})

/** Everything outside the package that a built module reaches, by whatever way. */
function reached(entry: string, seen = new Set<string>()): Set<string> {
  const outside = new Set<string>()
  const file = path.join(installed, 'dist', entry)
  if (seen.has(file)) return outside
  seen.add(file)
  for (const specifier of importsOf(readFileSync(file, 'utf8'))) {
    if (!specifier.startsWith('.')) outside.add(specifier)
    else {
      const next = path.relative(path.join(installed, 'dist'), path.resolve(file, '..', specifier))
      for (const each of reached(next, seen)) outside.add(each)
    }
  }
  return outside
}

function importsOf(code: string): string[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*['"]([^'"]+)['"]|import\s*\(?\s*['"]([^'"]+)['"]/g
  return [...code.matchAll(pattern)].map(([, from, bare]) => from ?? bare ?? '')
}

const STACK = /^(node:|hyper|corestore|protomux|sodium|@hyperswarm|rocksdb|fs-native|streamx)/

test('clock and crdt reach nothing of Node and nothing of the Hypercore stack', () => {
  for (const entry of ['clock/index.js', 'crdt/index.js']) {
    const found = [...reached(entry)].filter((specifier) => STACK.test(specifier))
    assert.equal(found, [], entry)
  }
})

test("core's and multiwriter's portable entries reach nothing of Node and no native package", () => {
  for (const entry of ['core/index.js', 'multiwriter/index.js']) {
    const all = [...reached(entry)]
    assert.ok(all.includes('hypercore'), 'the walk found something')
    const native = /^(node:|hyperswarm|hyperdht|hypercore-storage|fs-native|rocksdb)/
    assert.equal(
      all.filter((specifier) => native.test(specifier)),
      [],
      entry
    )
  }
})

test('without yjs everything but documents works, and a document says what is missing', () => {
  const script = `
    import { openDevice } from 'manyhands'
    const device = await openDevice({ storage: 'without-yjs' })
    const space = await device.createSpace()
    await space.db.put('a', 1)
    const error = await space.documents.open('d').catch((error) => error)
    console.log(error.code, (await space.db.get('a')).value)
    await device.close()`
  const yjs = path.join(consumer, 'node_modules', 'yjs')
  unlinkSync(yjs)
  try {
    writeFileSync(path.join(consumer, 'without.mjs'), script)
    assert.is(node(consumer, 'without.mjs').trim(), 'DOCUMENTS_UNAVAILABLE 1')
  } finally {
    symlinkSync(path.join(ROOT, 'node_modules', 'yjs'), yjs)
  }
})

test('every package that is reached is a dependency, and every dependency is reached', () => {
  const manifest = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
    peerDependencies: Record<string, string>
  }
  const packages = new Set(
    ['index.js', 'cli/main.js', 'adapters/yjs/index.js', 'adapters/automerge-repo/index.js']
      .flatMap((entry) => [...reached(entry)])
      .filter((specifier) => !specifier.startsWith('node:'))
      .map((specifier) =>
        specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/')
      )
  )
  const typesOnly = ['@automerge/automerge-repo', '@standard-schema/spec', 'streamx'] // their types are in ours
  assert.equal(
    [...packages, ...typesOnly].sort(),
    [
      ...new Set([
        ...Object.keys(manifest.dependencies),
        ...Object.keys(manifest.peerDependencies),
        ...typesOnly
      ])
    ].sort()
  )
  for (const version of Object.values(manifest.dependencies)) assert.match(version, /^\d/)
})

test.run()
