/** Stories of members as tests; and played for somebody who watches: `npm run attack -- <story>`. */
import { test } from 'uvu'
import type { AclRecord, Head, Membership } from '../../acl/index.ts'
import type { Author } from './acl.ts'

/** Part of the titles of the stories that are played, in small letters; none in tests. */
const PLAYED = process.env['STORY']

export function story(title: string, run: () => void): void {
  if (PLAYED !== undefined && !title.toLowerCase().includes(PLAYED)) return
  test(`story: ${title}`, async () => {
    if (PLAYED === undefined) return run()
    console.log(`\n${title}`)
    run()
    await compare(title)
  })
}

/** The same attack elsewhere, where there is such a thing. */
async function compare(title: string): Promise<void> {
  const { besideAutobase } = await import('../acl/beside-autobase.ts')
  const lines = await besideAutobase(title)
  if (lines === null) return
  const head = 'Beside it Autobase, where writers add and remove each other'
  console.log([head, ...lines.map((line) => `  ${line}`), ''].join('\n'))
}

/** What everybody has said, whether it counts, and what it comes to. */
export function play(authors: readonly Author[], membership: Membership): void {
  if (PLAYED === undefined) return
  const lines = authors.flatMap((author) => ['', author.core, ...logLines(author, membership)])
  console.log([...lines, '', 'Who is in', ...memberLines(membership), ''].join('\n'))
}

function logLines({ core, records }: Author, { refused }: Membership): readonly string[] {
  const said = records.map(({ record }) => (typeof record === 'string' ? record : sentence(record)))
  const width = Math.max(0, ...said.map((each) => each.length))
  return said.map((each, index) => {
    const why = refused.find((one) => one.core === core && one.index === index)
    const verdict = why === undefined ? 'counts' : `void: rule ${why.rule}, ${why.why}`
    return `  ${index} ${each.padEnd(width)}  ${verdict}`
  })
}

function memberLines({ members, cores }: Membership): readonly string[] {
  return [...members.values()].flatMap(({ identity, role, devices }) => [
    `  ${identity.padEnd(8)} ${role ?? 'removed'}`,
    ...devices.flatMap(({ cores: own }) =>
      own.map((core) => {
        const length = cores.get(core)?.length ?? 0
        return `           ${core} ${length === Infinity ? 'counts' : `ends at ${length}`}`
      })
    )
  ])
}

function sentence(record: AclRecord): string {
  return `${act(record)}${seen(record.heads)}`
}

function act(record: AclRecord): string {
  switch (record.kind) {
    case 'found':
      return 'founds the space'
    case 'grant':
      return `grants ${record.member.device}: ${record.role}`
    case 'revoke':
      return `revokes ${record.device ?? record.identity}${ends(record.cuts)}`
    case 'seal':
      return `seals${ends(record.cuts)}`
    case 'ack':
      return `acknowledges${ends(record.lengths)}`
    case 'vote':
      return record.change.kind === 'add'
        ? `votes to add ${record.change.member.identity}`
        : `votes to remove ${record.change.identity}${ends(record.change.cuts)}`
    case 'successor':
      return `succeeds${ends(record.old)}`
    case 'recovery':
      return `recovers ${record.member.identity}${ends(record.cuts)}`
    case 'fork':
      return `proves a fork of ${record.core} at ${record.common}`
    case 'leave':
      return `leaves${ends(record.cuts)}`
    case 'invite':
      return `invites ${record.uses} as ${record.role}`
    case 'withdraw':
      return `withdraws ${record.invite.core}@${record.invite.length}`
    case 'epoch':
      return `mints ${record.epoch}`
    case 'share':
      return `shares ${record.epoch}`
    default:
      return record satisfies never
  }
}

function ends(heads: readonly Head[]): string {
  return heads.map(({ core, length }) => ` ${core}@${length}`).join('')
}

function seen(heads: readonly Head[]): string {
  return heads.length === 0 ? '' : `  (has seen${ends(heads)})`
}
