/** What commits to a whole space, for somebody outside to vouch for; and what they say about it. */
import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type {
  DevicePort,
  NewPlainAnchor,
  PlainAnchor,
  PlainStoredAnchor,
  PlainVerdict
} from '../../multiwriter/index.ts'
import { definer, type Define, type Execute } from '../define.ts'
import { EXIT, usage } from '../exit.ts'
import { openFile, readWhole } from '../files.ts'
import { collect, counted } from '../numbers.ts'
import { shown, table } from '../output.ts'
import type { Run } from '../run.ts'

/** As the library takes it. */
const MAX_PROOF_BYTES = 64 * 1024

export function anchorCommands(program: Command, execute: Execute): void {
  const define = definer(
    program
      .command('anchor')
      .description('prove when a space was as it is: make, attach, list, verify')
  )
  defineMake(define, execute)
  defineAttach(define, execute)
  defineList(define, execute)
  defineVerify(define, execute)
}

interface MakeOptions {
  readonly request?: string
}

function defineMake(define: Define, execute: Execute): void {
  define('make', 'a text that commits to all logs of a space as they are here', [
    'manyhands anchor make',
    'ANCHOR=$(manyhands anchor make --request query.tsq)',
    "curl -H 'Content-Type: application/timestamp-query' --data-binary @query.tsq URL > reply.tsr"
  ])
    .option('--request <file>', 'write there what a time-stamp authority (RFC 3161) is asked')
    .action(({ request: file }: MakeOptions, command) =>
      execute(command, async (run) => {
        const port = await run.open()
        const made = await port.call('anchors/make', { space: await run.space(port) })
        if (file !== undefined) await writeFile(file, Buffer.from(made.request, 'base64'))
        await run.output.result(madeData(made), () => [anchorText(made)])
      })
    )
}

function madeData({ hash, version }: NewPlainAnchor) {
  return { anchor: anchorText({ hash, version }), hash, version }
}

function defineAttach(define: Define, execute: Execute): void {
  define('attach <anchor> <file>', 'keep a proof about an anchor in the space, for all members', [
    'manyhands anchor attach "$ANCHOR" reply.tsr',
    'manyhands anchor attach "$ANCHOR" page.pdf --kind newspaper'
  ])
    .option('--kind <kind>', 'what the proof is; only tokens of RFC 3161 are checked', 'rfc3161')
    .action((text: string, file: string, { kind }: { readonly kind: string }, command) =>
      execute(command, async (run) => {
        const anchor = anchorIn(text)
        // First: what cannot be read needs no store.
        const { stream } = await openFile(file)
        const bytes = (await readWhole(stream, MAX_PROOF_BYTES)).toString('base64')
        const port = await run.open()
        const proof = { kind, bytes }
        await port.call('anchors/attach', { space: await run.space(port), anchor, proof })
        await run.output.result({ attached: kind, hash: anchor.hash }, () => [
          'The proof is kept in the space.'
        ])
      })
    )
}

function defineList(define: Define, execute: Execute): void {
  define('list', 'the anchors that have proofs', ['manyhands anchor list']).action(
    (_: object, command) =>
      execute(command, async (run) => {
        const anchors = await listed(run, await run.open())
        const data = anchors.map(({ proofs, ...anchor }) => ({
          anchor: anchorText(anchor),
          ...anchor,
          proofs: proofs.map(({ kind }) => kind)
        }))
        await run.output.result(data, () =>
          anchors.length === 0 ? ['No anchor has a proof.'] : table(anchors.map(rowOf))
        )
      })
  )
}

async function listed(run: Run, port: DevicePort): Promise<readonly PlainStoredAnchor[]> {
  return port.call('anchors/list', { space: await run.space(port) })
}

function rowOf({ hash, proofs }: PlainStoredAnchor): string[] {
  return [hash, counted(proofs.length, 'proof'), proofs.map(({ kind }) => shown(kind)).join(' ')]
}

interface VerifyOptions {
  readonly authority?: readonly string[]
}

function defineVerify(define: Define, execute: Execute): void {
  define(
    'verify <anchor>',
    'whether the logs here are those of an anchor, or of a hash that `anchor list` shows; and what its proofs say',
    [
      'manyhands anchor verify "$ANCHOR" --authority ca.pem',
      'manyhands anchor verify 4bf1…   # a hash that has proofs'
    ]
  )
    .option('--authority <file>', 'a certificate (PEM) to trust; repeat it for more', collect)
    .action((text: string, { authority: files = [] }: VerifyOptions, command) =>
      execute(command, async (run) => {
        const authorities = await Promise.all(files.map((file) => readFile(file, 'utf8')))
        const port = await run.open()
        const anchor = HASH.test(text) ? await storedAnchor(run, port, text) : anchorIn(text)
        const params = { space: await run.space(port), anchor, authorities }
        const proofs = await port.call('anchors/verify', params)
        const data = { ...anchor, proofs: proofs.map(({ bytes: _, ...verdict }) => verdict) }
        await run.output.result(data, () => [
          'The logs here are those of the anchor.',
          ...table(proofs.map(verdictRow))
        ])
        return proofs.some(({ verdict }) => verdict === 'fails') ? EXIT.no : EXIT.ok
      })
    )
}

async function storedAnchor(run: Run, port: DevicePort, hash: string): Promise<PlainAnchor> {
  const found = (await listed(run, port)).find((each) => each.hash === hash.toLowerCase())
  if (found === undefined) throw usage('No anchor of this hash has a proof here.', WHICH)
  return { hash: found.hash, version: found.version }
}

function verdictRow({ kind, verdict, time, authority, problem }: PlainVerdict): string[] {
  const said = authority === null ? (problem ?? '') : `${time ?? ''} by ${shown(authority)}`
  return [shown(kind), verdict, said]
}

const HASH = /^[0-9a-f]{64}$/i
const ANCHOR = /^([0-9a-f]{64})\+(\S+)$/i
const WHICH = 'Take what `manyhands anchor make` printed, or a hash that `anchor list` shows.'

/** One word, for a shell. */
function anchorText({ hash, version }: PlainAnchor): string {
  return `${hash}+${version}`
}

function anchorIn(text: string): PlainAnchor {
  const [, hash, version] = ANCHOR.exec(text.trim()) ?? []
  if (hash === undefined || version === undefined) throw usage('This is no anchor.', WHICH)
  return { hash: hash.toLowerCase(), version }
}
