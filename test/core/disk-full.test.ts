/** A full disk, on a real one that is small: a tmpfs in a mount namespace of its own. */
import { spawnSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Durability } from '../../core/store.ts'
import { Child } from '../support/child.ts'
import type { DiskFullReport } from '../support/disk-full-process.ts'
import { withFolder } from '../support/folder.ts'

const NAMESPACE = process.getuid?.() === 0 ? ['unshare', '-m'] : ['unshare', '-rm']

/** Only some machines allow mounting: elsewhere the tests are counted as skipped. */
const [command = '', ...options] = NAMESPACE
const canMount =
  spawnSync(command, [...options, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

async function fillDisk(durability: Durability, valueBytes: number): Promise<DiskFullReport> {
  return withFolder(async (mount) => {
    await mkdir(mount)
    const task = { mount, durability, valueBytes }
    const child = new Child('disk-full-process.ts', task, { prefix: NAMESPACE })
    assert.equal(await child.end(), { code: 0, signal: null }, child.errors)
    return JSON.parse(child.lines.at(-1) ?? '') as DiskFullReport
  })
}

const title = (durability: Durability, valueBytes: number) =>
  `a full disk (${durability}, values of ${valueBytes} bytes): STORE_FULL until reopened, nothing acknowledged is lost`

for (const [durability, valueBytes] of [
  ['os', 100_000],
  ['disk', 100_000],
  ['os', 3000]
] as const) {
  const run: (name: string, body: () => Promise<void>) => void = canMount
    ? (...args) => test(...args)
    : (...args) => test.skip(...args)
  run(title(durability, valueBytes), async () => {
    const report = await fillDisk(durability, valueBytes)
    assert.ok(report.acknowledged > 5)
    assert.equal(
      report.codes,
      Array.from({ length: 4 }, () => 'STORE_FULL')
    )
    assert.ok(report.hasCause && report.isSame)
    // The put that was refused may have got in whole; it was not acknowledged.
    const there = [report.acknowledged, report.acknowledged + 1]
    assert.ok(there.includes(report.readableWhileFull), JSON.stringify(report))
    assert.is(report.closed, 'undefined')
    assert.ok(['STORE_FULL', ...there.map(String)].includes(report.openedWhileFull))
    assert.equal([report.rolledBack, report.fork, report.spacesKept], [null, 0, 1])
    assert.ok(there.includes(report.kept), JSON.stringify(report))
    assert.is(report.after, report.kept + 1)
  })
}

test.run()
