/** Undoing against its slow twins, over random histories. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import z32 from 'z32'
import { decodeVersion } from '../../clock/index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { revertSlowly, shownOf } from '../oracle/revert.ts'
import { viewSlowly } from '../oracle/view.ts'
import { openTwoDevices, until } from '../support/devices.ts'
import { seededRandom, type SeededRandom } from '../support/random.ts'
import { haveMet, putAll, shown } from '../support/shown.ts'

/** The spaces' logs, as the slow twins read them. */
const coresOf = (space: Space) => space.wire.cores().map((core) => ({ core, seal: Infinity }))

/** One write of any kind: each type has keys of its own. */
async function writeAny(space: Space, random: SeededRandom, step: number): Promise<void> {
  const { db } = space
  const n = random.below(2)
  const element = `${random.below(4)}`
  switch (random.below(9)) {
    case 0:
      return db.counter(`counter${n}`).add(1 + random.below(9))
    case 1:
      return db.set(`set${n}`).add(element)
    case 2:
      return db.set(`set${n}`).delete(element)
    case 3:
      return db.flag(`flag${n}`)[random.below(2) === 0 ? 'enable' : 'disable']()
    case 4:
      return db.max(`max${n}`).add(random.below(99))
    default: {
      const value = random.below(4) > 0 ? `${step}` : undefined
      return putAll(space, { [`k${random.below(6)}`]: value })
    }
  }
}

test('revert: shows what the history without that work shows, over random histories', async () => {
  const random = seededRandom(7)
  let touched = 0
  for (let round = 0; round < 10; round++) {
    const two = await openTwoDevices()
    const spaces = [two.spaceA, two.spaceB]
    const versions = [await two.spaceA.version()]
    let cut: (() => void) | null = null
    for (let step = 0; step < 60; step++) {
      const space = spaces[random.below(2)] ?? two.spaceA
      if (random.below(5) > 0) await writeAny(space, random, step)
      else if (cut === null) {
        cut = two.connect()
        await haveMet(two)
      } else {
        cut()
        cut = null
        await until(() => spaces.every((each) => each.peers().length === 0))
      }
      if (random.below(4) === 0) versions.push(await two.spaceA.version())
    }
    if (cut === null) two.connect()
    await haveMet(two)
    for (let turn = 0; turn < 3; turn++) {
      const version = versions[random.below(versions.length)] ?? ''
      const { writer } = spaces[random.below(2)] ?? two.spaceA
      const cores = coresOf(two.spaceA)
      const log = cores.find(({ core }) => isNamed(core.key, writer))?.core
      if (log === undefined) continue
      const place = decodeVersion(version)?.data.find((each) => isNamed(each.core, writer))
      const expected = await revertSlowly(cores, log.key, place?.length ?? 0)
      const { written, deleted } = await two.spaceA.revert({ writer, after: version })
      touched += written + deleted
      const after = shownOf(await viewSlowly(coresOf(two.spaceA)))
      assert.equal(Object.fromEntries(after), Object.fromEntries(expected), `round ${round}`)
      const again = await two.spaceA.revert({ writer, after: version })
      assert.is(again.written + again.deleted, 0, `round ${round}: twice is once`)
      await haveMet(two)
    }
    await two.close()
  }
  assert.ok(touched > 15, `${touched} keys`)
})

test('restore: shows what the history up to the version shows, over random histories', async () => {
  const random = seededRandom(8)
  const two = await openTwoDevices()
  two.connect()
  const past: [string, string][] = []
  for (let step = 0; step < 60; step++) {
    const space = random.below(2) === 0 ? two.spaceA : two.spaceB
    const values = Object.fromEntries(
      Array.from({ length: 1 + random.below(4) }, () => [
        `k${random.below(8)}`,
        random.below(4) > 0 ? `${step}` : undefined
      ])
    )
    await putAll(space, values)
    await haveMet(two)
    past.push([await two.spaceA.version(), await shown(two.spaceA)])
    if (random.below(4) > 0) continue
    const [version, expected] = past[random.below(past.length)] ?? ['', '']
    await space.restore(version)
    assert.is(await shown(space), expected)
    await haveMet(two)
  }
  await two.close()
})

function isNamed(core: Uint8Array, writer: string): boolean {
  return z32.encode(core) === writer
}

test.run()
