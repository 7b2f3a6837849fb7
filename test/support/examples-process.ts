/**
 * Runs examples one after the other, each in its folder, in one process: loading the sources takes longer than most of them. Its one
 * argument is a list of folders, as JSON; a line for each says how it ended. Ends by itself once nothing is left open.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const folders = JSON.parse(process.argv[2] ?? '[]') as readonly string[]
const write = (line: string) => process.stderr.write(`${line}\n`)

console.log = () => {} // what an example prints is for its reader
for (const folder of folders) {
  process.chdir(folder)
  write(`begin ${folder}`)
  await import(pathToFileURL(join(folder, 'example.ts')).href)
  write(`end ${folder}`)
}
