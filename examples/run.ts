/** Runs an example by its name: `npm run example -- two-devices`. Without a name, lists them. */
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const HERE = path.dirname(fileURLToPath(import.meta.url))

const [name, ...args] = process.argv.slice(2)
const names = readdirSync(HERE).filter((entry) => existsSync(mainFile(entry)))

if (name !== undefined && names.includes(name)) {
  process.argv = [process.execPath, mainFile(name), ...args]
  await import(pathToFileURL(mainFile(name)).href)
} else {
  if (name !== undefined) console.error(`There is no example "${name}".\n`)
  console.error(
    `Usage: npm run example -- <name>\n\n${names.map((each) => `  ${each}`).join('\n')}`
  )
  process.exitCode = 1
}

function mainFile(example: string): string {
  return path.join(HERE, example, 'main.ts')
}
