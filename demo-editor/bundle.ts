/** The files of both pages, bundled in memory: nothing is written, nothing is fetched from elsewhere. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Files } from './page-server.ts'

const PAGE = fileURLToPath(new URL('page', import.meta.url))

export interface Pages {
  readonly editor: Files
  readonly cable: Files
}

export async function bundlePages(): Promise<Pages> {
  const [scripts, style, icon] = await Promise.all([bundle(), read('page.css'), read('icon.svg')])
  const page = (title: string, script: string): Files => ({
    '/index.html': html(title),
    '/page.js': script,
    '/page.css': style,
    '/icon.svg': icon
  })
  return {
    editor: page('manyhands', scripts['editor-page'] ?? ''),
    cable: page('manyhands: two devices', scripts['cable-page'] ?? '')
  }
}

async function bundle(): Promise<Record<string, string>> {
  const { outputFiles } = await build({
    entryPoints: [`${PAGE}/editor-page.ts`, `${PAGE}/cable-page.ts`],
    bundle: true,
    write: false,
    outdir: PAGE,
    format: 'esm',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    logLevel: 'error'
  })
  return Object.fromEntries(
    outputFiles.map(({ path, text }) => [/([\w-]+)\.js$/.exec(path)?.[1] ?? path, text])
  )
}

function read(name: string): Promise<string> {
  return readFile(`${PAGE}/${name}`, 'utf8')
}

function html(title: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>${title}</title>
    <link rel="icon" href="/icon.svg" />
    <link rel="stylesheet" href="/page.css" />
    <script type="module" src="/page.js"></script>
  </head>
  <body>
    <noscript>This editor needs JavaScript.</noscript>
  </body>
</html>
`
}
