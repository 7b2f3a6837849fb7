/**
 * Builds dist: what tsc emits for tsconfig.build.json, and the types of the untyped packages.
 *
 * tsc copies no .d.ts file, so core/stack.d.ts (ambient types of the Hypercore stack) is copied
 * here, and every emitted declaration that mentions one of its modules refers to it. Without that
 * a consumer with `skipLibCheck: false` would be told that 'hypercore' has no types.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const dist = path.join(root, 'dist')
const stack = path.join('core', 'stack.d.ts')

fs.rmSync(dist, { recursive: true, force: true })
compile()
if (fs.existsSync(path.join(root, stack))) shipStackTypes()

function compile() {
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit'
  })
  if (status !== 0) process.exit(status ?? 1)
}

function shipStackTypes() {
  const types = fs.readFileSync(path.join(root, stack), 'utf8')
  const target = path.join(dist, stack)
  fs.writeFileSync(target, types)
  const modules = [...types.matchAll(/^declare module '([^']+)'/gm)].map(([, name]) => name)
  for (const file of declarations()) {
    if (file !== target) referTo(target, file, modules)
  }
}

function declarations() {
  return fs
    .readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.d.ts'))
    .map((file) => path.join(dist, file))
}

function referTo(target, file, modules) {
  const text = fs.readFileSync(file, 'utf8')
  if (!modules.some((name) => text.includes(`'${name}'`) || text.includes(`"${name}"`))) return
  const place = path.relative(path.dirname(file), target).split(path.sep).join('/')
  fs.writeFileSync(file, `/// <reference path="${place}" />\n${text}`)
}
