/**
 * `npm run bench -- membership`: 1,000 members and 10,000 records from scratch, and one more record to what was resolved already.
 * Signatures cost nothing here: a device checks each once, when it arrives. And a new key for 1,000 devices.
 */
import b4a from 'b4a'
import { encodeRecord, Keyring, MembershipResolver, resolveMembership } from '../acl/index.ts'
import type { AclLog, AclRecord, CoreClaim, DeviceClaim, Head, LoggedRecord } from '../acl/index.ts'
import { deriveKeyPair } from '../core/index.ts'
import { epochCrypto } from '../multiwriter/index.ts'
import { report, type BenchOptions, type Goal } from './harness.ts'

const ROOT = 'founder/acl'
const NO_SIGNATURE = new Uint8Array(0)
const SEED = new Uint8Array(32).fill(7)
const yes = () => true
const OPTIONS = {
  space: ROOT,
  verify: { device: yes, core: yes, successor: yes, recovery: yes, fork: yes },
  hash: (text: string) => text
}

class Log {
  readonly records: LoggedRecord[] = []
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  get core(): string {
    return `${this.name}/acl`
  }

  get member(): DeviceClaim {
    return { identity: this.name, device: `${this.name}/device`, attestation: NO_SIGNATURE }
  }

  get cores(): readonly CoreClaim[] {
    const claim = (use: 'acl' | 'data') => ({
      core: `${this.name}/${use}`,
      use,
      signature: NO_SIGNATURE
    })
    return [claim('acl'), claim('data')]
  }

  get head(): Head {
    const { length } = this.records
    return { core: this.core, length, treeHash: `${this.name}:${length}` }
  }

  get log(): AclLog {
    return { core: this.core, records: [...this.records] }
  }

  write(record: AclRecord): void {
    this.records.push({ record, treeHash: `${this.name}:${this.records.length + 1}` })
  }
}

/** A tenth of the members are admins, who let the others in; a tenth of those are removed; the rest is acknowledgements. */
function makeSpace(members: number, records: number): readonly Log[] {
  const logs = Array.from({ length: members }, (_, i) => new Log(i === 0 ? 'founder' : `m${i}`))
  const [founder, ...others] = logs
  if (founder === undefined) return []
  founder.write({ kind: 'found', heads: [], member: founder.member, cores: founder.cores })
  const admins = others.slice(0, Math.floor(members / 10))
  for (const admin of admins) grant(founder, admin, 'admin')
  const rest = others.slice(admins.length)
  rest.forEach((other, i) => grant(admins[i % admins.length] ?? founder, other, 'writer', founder))
  removeSome(admins, rest)
  acknowledge(logs, records)
  return logs
}

function grant(by: Log, to: Log, role: 'admin' | 'writer', seen?: Log): void {
  const heads = seen === undefined ? [] : [seen.head]
  by.write({ kind: 'grant', heads, member: to.member, role, prefixes: null, cores: to.cores })
}

function removeSome(admins: readonly Log[], rest: readonly Log[]): void {
  rest.forEach((other, i) => {
    const by = admins[i % admins.length]
    if (i % 10 !== 0 || by === undefined) return
    const cuts = other.cores.map(({ core }) => ({ core, length: 5, treeHash: '5' }))
    by.write({ kind: 'revoke', heads: [], identity: other.name, device: null, cuts })
  })
}

/** Everybody in turn says to hold what a few others wrote. */
function acknowledge(logs: readonly Log[], records: number): void {
  let left = records - logs.reduce((sum, log) => sum + log.records.length, 0)
  for (let i = 0; left > 0; i++, left--) {
    const by = logs[(i * 7) % logs.length]
    const seen = [1, 11, 111].map((step) => logs[(i + step) % logs.length])
    const heads = seen.flatMap((log) =>
      log && log !== by && log.records.length > 0 ? log.head : []
    )
    const lengths = seen.flatMap((log) =>
      log ? { core: `${log.name}/data`, length: i, treeHash: `${i}` } : []
    )
    by?.write({ kind: 'ack', heads, lengths })
  }
}

const median = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? NaN

/** Processor time: other people's work on this machine is not ours. */
function measure(rounds: number, run: (round: number) => void): number {
  const times: number[] = []
  for (let round = -1; round < rounds; round++) {
    const start = process.cpuUsage()
    run(round + 1)
    const { user, system } = process.cpuUsage(start)
    if (round >= 0) times.push((user + system) / 1000)
  }
  return median(times)
}

function goal(what: string, limit: number, ms: number): Goal {
  return { what, goal: `at most ${limit} ms`, measured: `${ms.toFixed(1)} ms`, isMet: ms <= limit }
}

/** What whoever removes somebody waits for: a key made, sealed to all who stay, and written as a record. */
function newKey(devices: number, rounds: number) {
  const pairs = Array.from({ length: devices }, (_, i) => deriveKeyPair(SEED, `device ${i}`))
  const readers = pairs.map(({ publicKey }) => b4a.toString(publicKey, 'hex'))
  const [own = ''] = readers
  const [pair = deriveKeyPair(SEED, 'device')] = pairs
  const ring = new Keyring(own, epochCrypto(pair))
  const { epochs } = resolveMembership([], OPTIONS)
  let bytes = 0
  const ms = measure(rounds, () => {
    bytes = encodeRecord({ ...ring.mint(epochs, readers).draft, heads: [] }).byteLength
  })
  return { devices, ms, bytes }
}

export default async function bench(options: BenchOptions): Promise<void> {
  const [members, records, rounds] = options.quick ? [100, 1000, 3] : [1000, 10_000, 9]
  const logs = makeSpace(members, records)
  const whole = logs.map(({ log }) => log)
  const scratch = measure(rounds, () => void resolveMembership(whole, OPTIONS))
  const resolver = new MembershipResolver(OPTIONS)
  resolver.add(whole)
  const authors = logs.slice(1, 5)
  const more = measure(rounds * 5, (round) => {
    const by = authors[round % authors.length]
    if (by === undefined) return
    by.write({
      kind: 'ack',
      heads: [],
      lengths: [{ core: 'founder/data', length: round, treeHash: `${round}` }]
    })
    resolver.add([by.log])
  })
  const granted = measure(rounds * 5, (round) => {
    const by = authors[round % authors.length]
    if (by === undefined) return
    grant(by, new Log(`late${round}`), 'writer', logs[0])
    resolver.add([by.log])
  })
  const key = newKey(options.quick ? 100 : 1000, rounds)
  const size = `${members.toLocaleString('en')} members, ${records.toLocaleString('en')} records`
  const goals = [
    goal(`${size}, from scratch`, 1000, scratch),
    goal('one acknowledgement more', 10, more),
    goal('one grant more', 10, granted),
    goal(`a new key for ${key.devices.toLocaleString('en')} devices`, 200, key.ms),
    {
      what: 'its record',
      goal: 'at most 120,000 bytes',
      measured: `${key.bytes.toLocaleString('en')} bytes`,
      isMet: key.bytes <= 120_000
    }
  ]
  await report('membership', options, { tables: [], goals, packages: [] })
}
