/**
 * The arrows between the folders, as .oxlintrc.json draws them: every forbidden import is written
 * once into a temporary tree with the project's own configuration and must be refused by the rule
 * meant for it; every allowed one must pass. One run of the linter sees them all.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Each folder with the folders it may import. */
const ARROWS: Record<string, readonly string[]> = {
  clock: [],
  crdt: ['clock'],
  acl: ['clock'],
  core: ['clock'],
  multiwriter: ['clock', 'crdt', 'acl', 'core'],
  adapters: ['multiwriter'],
  cli: ['clock', 'crdt', 'acl', 'core', 'multiwriter', 'adapters'],
  'demo-editor': ['clock', 'crdt', 'acl', 'core', 'multiwriter', 'adapters']
}
const SOURCES = Object.keys(ARROWS)
const APPS = ['cli', 'demo-editor']
const LIBRARY = SOURCES.filter((folder) => !APPS.includes(folder))
const PURE = ['clock', 'crdt', 'acl', 'multiwriter']
const FREE = ['test', 'bench', 'examples']
const FOLDERS = [...SOURCES, ...FREE, 'docs', 'scripts']

/** What exists on Node alone, and the rest of the stack. */
const NODE_STACK = words('hyperswarm hyperdht fs-native-extensions sodium-native rocksdb-native')
const STACK = words(
  'hypercore hypercore/lib/errors.js corestore hyperbee2 hypercore-storage protomux sodium-universal @hyperswarm/secret-stream'
)

interface Case {
  /** The linter's rule that must speak, or null when none may. */
  readonly rule: string | null
  /** In which file of the tree. */
  readonly file: string
  readonly code: string
}

const imports = (specifier: string) => `import { it } from '${specifier}'\nexport const use = it`
const IMPORTS = 'eslint(no-restricted-imports)'

/** Cases of one law: the same code in several folders, some of which refuse it. */
function law(places: readonly string[], code: string, rule: string | null): Case[] {
  return places.map((place) => ({ rule, code, file: `${place}/${fresh()}.ts` }))
}

let count = 0
const fresh = () => `case-${count++}`
const others = (all: readonly string[], without: readonly string[]) =>
  all.filter((each) => !without.includes(each))

const LAWS: Record<string, Case[]> = {
  'a folder imports the folders its arrow leads to, by index.ts': SOURCES.flatMap((from) =>
    (ARROWS[from] ?? []).flatMap((to) => [
      ...law([from], imports(`../${to}/index.ts`), null),
      ...law([`${from}/deep`], imports(`../../${to}/index.ts`), null)
    ])
  ),
  'a folder imports no other folder': SOURCES.flatMap((from) =>
    others(FOLDERS, [from, ...(ARROWS[from] ?? [])]).flatMap((to) => [
      ...law([from], imports(`../${to}/index.ts`), IMPORTS),
      ...law([`${from}/deep`], imports(`../../${to}/some.ts`), IMPORTS)
    ])
  ),
  'core/native has the arrows of core': [
    ...law(['core/native'], imports('../../clock/index.ts'), null),
    ...law(['core/native'], imports('../../clock/some.ts'), IMPORTS),
    ...others(FOLDERS, ['core', 'clock']).flatMap((to) =>
      law(['core/native'], imports(`../../${to}/index.ts`), IMPORTS)
    )
  ],
  'a file inside another folder is private, at any depth': SOURCES.flatMap((from) =>
    (ARROWS[from] ?? []).flatMap((to) => [
      ...law([from], imports(`../${to}/some.ts`), IMPORTS),
      ...law([from], imports(`../${to}/deep/index.ts`), IMPORTS),
      ...law([`${from}/deep`], imports(`../../${to}/some.ts`), IMPORTS)
    ])
  ),
  'every form of import is seen': [
    `import type { It } from '../core/index.ts'\nexport type Use = It`,
    `export { it } from '../core/index.ts'`,
    `export * from '../core/index.ts'`,
    `import '../core/index.ts'`,
    `export const it = await import('../core/index.ts')`
  ].flatMap((code) => law(['crdt'], code, IMPORTS)),
  'a type imported in passing is refused': law(
    ['crdt'],
    `export type Use = import('../core/index.ts').It`,
    'typescript(consistent-type-imports)'
  ),
  'everybody may import errors.ts': [
    ...law([...SOURCES, ...FREE], imports('../errors.ts'), null),
    ...law(['core/native'], imports('../../errors.ts'), null)
  ],
  'errors.ts imports nothing': [
    { rule: IMPORTS, file: 'errors.ts', code: imports('./clock/index.ts') }
  ],
  'index.ts imports folders by their doors': [
    {
      rule: null,
      file: 'index.ts',
      code: [...PURE.map((folder) => `./${folder}/index.ts`), './core/native/index.ts']
        .map((door) => `export * from '${door}'`)
        .join('\n')
    }
  ],
  'nobody imports the root index.ts, nor the index.ts of its own folder': [
    ...law(LIBRARY, imports('../index.ts'), IMPORTS),
    ...law(
      LIBRARY.map((folder) => `${folder}/deep`),
      imports('../index.ts'),
      IMPORTS
    ),
    ...law(['core/native'], imports('../../index.ts'), IMPORTS)
  ],
  'only core imports the Hypercore stack': STACK.flatMap((name) => [
    ...law(others(SOURCES, ['core']), imports(name), IMPORTS),
    ...law(['core', 'core/native', ...FREE], imports(name), null)
  ]),
  'only core/native imports what exists on Node alone': NODE_STACK.flatMap((name) => [
    ...law(SOURCES, imports(name), IMPORTS),
    ...law(['core/native', ...FREE], imports(name), null)
  ]),
  'of the library, only core/native imports Node modules': ['node:fs', 'fs', 'fs/promises'].flatMap(
    (name) => [
      ...law(LIBRARY, imports(name), IMPORTS),
      ...law(['core/native', 'cli', ...FREE], imports(name), null)
    ]
  ),
  'other packages are not mistaken for folders or Node modules': law(
    LIBRARY,
    imports('eventemitter3') + `\nexport * from 'some-package/core/fs.js'`,
    null
  ),
  'the native door is for the root, cli, examples, bench and test': [
    ...law(others(SOURCES, ['cli']), imports('../core/native/index.ts'), IMPORTS),
    ...law(['core'], imports('./native/index.ts'), IMPORTS),
    ...law(['core/deep'], imports('../native/some.ts'), IMPORTS),
    ...law(['cli'], imports('../core/native/some.ts'), IMPORTS),
    ...law(['cli', ...FREE], imports('../core/native/index.ts'), null)
  ],
  'core/native uses the portable part of core': [
    ...law(['core/native'], imports('../index.ts'), null),
    ...law(['core/native'], imports('../some.ts'), null)
  ],
  'the package is not imported by its own name': law(
    [...SOURCES, 'core/native'],
    imports('manyhands/core'),
    IMPORTS
  ),
  'pure folders have no environment': [
    ...words('Buffer process setTimeout setInterval setImmediate').map(
      (use) => [use, 'eslint(no-restricted-globals)'] as const
    ),
    ...words(
      'Date.now performance.now Math.random crypto.getRandomValues crypto.randomUUID globalThis.Buffer globalThis.process globalThis.setTimeout globalThis.setInterval'
    ).map((use) => [use, 'eslint(no-restricted-properties)'] as const)
  ].flatMap(([use, rule]) => {
    const code = `export const use: unknown = ${use}.name`
    return [
      ...law([...PURE, ...PURE.map((folder) => `${folder}/deep`)], code, rule),
      ...law(['core', 'core/native', 'adapters', 'cli', ...FREE], code, null)
    ]
  }),
  'a promise nobody waits for is refused everywhere': law(
    [...SOURCES, 'core/native', ...FREE],
    `declare const it: () => Promise<void>\nit()`,
    'typescript(no-floating-promises)'
  ),
  'any is refused everywhere': law(
    [...SOURCES, 'core/native', ...FREE],
    `export const it = (value: any): string => String(value)`,
    'typescript(no-explicit-any)'
  ),
  'a circle of imports is refused': ['a', 'b'].map((self) => ({
    rule: 'import(no-cycle)',
    file: `crdt/circle-${self}.ts`,
    code: `import { it } from './circle-${self === 'a' ? 'b' : 'a'}.ts'\nexport const use = it`
  }))
}

/** What the root index.ts may not say; it exists once, so its lines are counted in a tree of its own. */
const ROOT_REFUSED = [
  ...others(FOLDERS, others(LIBRARY, ['adapters'])).map((folder) => `./${folder}/index.ts`),
  ...words('./core/some.ts ./core/deep/index.ts ./core/native/some.ts'),
  ...words('node:fs fs manyhands/core hypercore hyperswarm')
]

type Spoken = Map<string, string[]>

const arrows = suite<{ spoken: Spoken; root: readonly string[] }>('arrows')

arrows.before(async (context) => {
  context.spoken = await lint(Object.values(LAWS).flat())
  const code = ROOT_REFUSED.map((specifier) => `export * from '${specifier}'`).join('\n')
  const refusals = await lint([{ rule: IMPORTS, file: 'index.ts', code }])
  context.root = refusals.get('index.ts') ?? []
})

for (const [title, cases] of Object.entries(LAWS)) {
  arrows(title, ({ spoken }) => {
    assert.ok(cases.length > 0)
    const wrong = cases.filter(({ file, rule }) => {
      const rules = spoken.get(file) ?? []
      return rule === null ? rules.length > 0 : !rules.includes(rule)
    })
    assert.equal(
      wrong.map((each) => `${explain(each)}, got ${said(spoken, each.file)}`),
      []
    )
  })
}

arrows('index.ts imports nothing else', ({ root }) => {
  assert.equal(
    root,
    ROOT_REFUSED.map(() => IMPORTS)
  )
})

arrows.run()

function words(text: string): string[] {
  return text.split(' ')
}

function explain({ file, code, rule }: Case): string {
  return `${file}: ${code.replaceAll('\n', '; ')}: expected ${rule ?? 'silence'}`
}

function said(spoken: Spoken, file: string): string {
  return spoken.get(file)?.join(', ') ?? 'silence'
}

/** The rules that spoke about each file of a tree of these cases. */
async function lint(cases: readonly Case[]): Promise<Spoken> {
  const tree = mkdtempSync(path.join(tmpdir(), 'arrows-'))
  try {
    writeTree(tree, cases)
    const spoken: Spoken = new Map()
    for (const { filename, code = 'a syntax error' } of parseReport(await runOxlint(tree))) {
      spoken.set(filename, [...(spoken.get(filename) ?? []), code])
    }
    return spoken
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

function writeTree(tree: string, cases: readonly Case[]): void {
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) {
    copyFileSync(path.join(ROOT, file), path.join(tree, file))
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(tree, 'node_modules'), 'junction')
  for (const { file, code } of cases) {
    const target = path.join(tree, file)
    mkdirSync(path.dirname(target), { recursive: true })
    writeFileSync(target, `${code}\n`)
  }
}

interface Diagnostic {
  readonly filename: string
  readonly code?: string
}

function parseReport(report: string): readonly Diagnostic[] {
  return (JSON.parse(report) as { diagnostics: Diagnostic[] }).diagnostics
}

function runOxlint(cwd: string): Promise<string> {
  const bin = path.join(ROOT, 'node_modules', 'oxlint', 'bin', 'oxlint')
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [bin, '--type-aware', '--format', 'json', '.'],
      { cwd, maxBuffer: 2 ** 26 },
      // Exit code 1 is expected: there is much to refuse. No report at all is not.
      (error, stdout) => (stdout === '' ? reject(error ?? new Error('No report')) : resolve(stdout))
    )
  })
}
