/** `npm run attack -- <part of a title>` plays stories of members, beside Autobase where it has the notion; without one it lists them. */
import { readFile } from 'node:fs/promises'

const [, , ...words] = process.argv
const source = new URL('stories.test.ts', import.meta.url)
const titles = [...(await readFile(source, 'utf8')).matchAll(/^story\(\s*'(.*)',/gm)].map(
  ([, title]) => title ?? ''
)
const wanted = words.join(' ').toLowerCase()
const found = titles.filter((title) => title.toLowerCase().includes(wanted))

if (wanted === '' || found.length === 0) {
  if (wanted !== '') process.exitCode = 1
  console.log(
    wanted === '' ? 'npm run attack -- <part of a title>\n' : `No story has "${wanted}".\n`
  )
  console.log(titles.map((title) => `  ${title}`).join('\n'))
} else {
  process.env['STORY'] = wanted
  await import(source.href)
}
