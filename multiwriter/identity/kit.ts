/** What is printed and put away: the phrase, or one sheet for each share. One file that loads nothing and runs nothing. */
import { renderSVG } from 'uqr'
import { readShare } from './shares.ts'

export interface KitOptions {
  /** Whose it is, as those will read it who find it in ten years. */
  readonly name: string
  /** `device.identity.id`. */
  readonly identity: string
  /** The words, or the shares. */
  readonly secret: string | readonly string[]
  /** What it takes to come back to the spaces (space-list.ts). */
  readonly spaces: readonly string[]
  /** Ms since 1970. */
  readonly now: number
}

const STYLE = `
  @page { margin: 18mm }
  body { font: 15px/1.5 Georgia, serif; color: #111; max-width: 44em; margin: 2em auto; padding: 0 1em }
  section { break-after: page; margin-bottom: 4em }
  section:last-child { break-after: auto }
  h1 { font-size: 1.7em; margin: 0 0 .2em }
  .about { color: #444; margin: 0 0 1.5em; overflow-wrap: anywhere }
  .sheet { display: flex; flex-wrap: wrap; gap: 2em; align-items: flex-start }
  ol { columns: 7.5em 3; min-width: 15em; margin: 0; padding: 0 0 0 2em; flex: 1; font: 17px/1.9 Menlo, Consolas, monospace }
  pre { flex: 1; min-width: 15em; margin: 0; font: 17px/1.8 Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
  pre.small { font-size: 10px; line-height: 1.4 }
  svg { width: 190px; height: 190px; flex: none }
  .how { border-top: 1px solid #999; margin-top: 1.5em; padding-top: .8em }
`

/** One HTML file. It says all that whoever has it needs: keep it as you would keep cash. */
export function kitOf({ name, identity, secret, spaces, now }: KitOptions): string {
  const about = `${escaped(name)} · ${day(now)}<br>identity ${escaped(identity)}`
  const secrets =
    typeof secret === 'string'
      ? [phraseSheet(about, secret)]
      : secret.map((share) => shareSheet(about, share))
  const sheets = [...secrets, ...spaces.map((list, i) => listSheet(about, list, i, spaces.length))]
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Recovery kit</title>
<style>${STYLE}</style>
<body>
${sheets.join('\n')}
</body>
</html>
`
}

function phraseSheet(about: string, phrase: string): string {
  const words = phrase.split(' ').map((word) => `<li>${escaped(word)}</li>`)
  return sheet({
    title: 'Recovery phrase',
    about,
    content: `<ol>${words.join('')}</ol>`,
    code: phrase,
    how: `Whoever has these 24 words can become this person: keep them where nobody else finds them, and not on a device.
If all devices are lost, on a new one: <b>manyhands identity recover</b>, then type the words, in this order.`
  })
}

function shareSheet(about: string, share: string): string {
  const { set, index, needed, of } = readShare(share)
  const lines = share.match(/.{1,4}/g)?.join(' ') ?? share
  return sheet({
    title: `Recovery share ${index} of ${of}`,
    about: `${about}<br>set ${set}`,
    content: `<pre>${escaped(lines)}</pre>`,
    code: share,
    how: `Any ${needed} of the ${of} shares of this set bring this person back; fewer say nothing. Keep them apart, with people who will not lose them.
If all devices are lost, on a new one: <b>manyhands identity recover</b>, then type ${needed} of them, each on a line. Spaces do not matter.`
  })
}

function listSheet(about: string, list: string, i: number, of: number): string {
  return sheet({
    title: of === 1 ? 'Spaces' : `Spaces, sheet ${i + 1} of ${of}`,
    about,
    content: `<pre class="small">${escaped(list)}</pre>`,
    // Capital letters make a smaller picture.
    code: list.toUpperCase(),
    how: `Which spaces there were on that day, for whoever has the phrase or enough shares: nobody else can read it. Print it again when there are more.
If all devices are lost, give it to <b>manyhands identity recover</b> as well: scan the picture, and add its text as one more line.`
  })
}

interface Sheet {
  readonly title: string
  readonly about: string
  readonly content: string
  /** What the picture says. */
  readonly code: string
  readonly how: string
}

function sheet({ title, about, content, code, how }: Sheet): string {
  return `<section>
<h1>${title}</h1>
<p class="about">${about}</p>
<div class="sheet">${content}${renderSVG(code, { border: 2 })}</div>
<p class="how">${how}</p>
</section>`
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`)
}
