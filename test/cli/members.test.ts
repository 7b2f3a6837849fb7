/** The commands that tell and change who is in a space. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { MemberInfo, Space } from '../../multiwriter/index.ts'
import { openDevice } from '../../index.ts'
import { connect, until } from '../support/devices.ts'
import { Manyhands, type Ended } from '../support/cli.ts'

const manyhands = await Manyhands.make()
const store = manyhands.path('store')
const run = (...args: readonly string[]) => manyhands.run('--store', store, ...args)

test.after(() => manyhands.remove())

function ok({ code, stdout, stderr }: Ended): string {
  assert.is(code, 0, stderr)
  return stdout
}

test('members: a phone is let in, promoted and removed; what it wrote before stays', async () => {
  ok(await run('init'))
  ok(await run('space', 'create', 'Team', '--closed'))
  const ticket = ok(await run('space', 'ticket')).trim()
  const phone = await openDevice({ storage: manyhands.path('phone') })
  const there = await phone.openSpace(ticket)
  ok(await run('add-writer', there.writer))
  await meet(() => Promise.resolve(there.members.list().length === 2))
  ok(await run('members', 'promote', phone.id, 'admin'))
  assert.match(ok(await run('members', 'list')), /^owner .*\(this device\)\nadmin {2}device/)
  await there.db.put('early', 1)
  await meet(
    async (here) =>
      there.members.list()[1]?.role === 'admin' && (await here.db.get('early')) !== null
  )

  await there.db.put('late', 2)
  const asked = await run('members', 'revoke', phone.id)
  assert.is(asked.code, 2)
  assert.match(asked.stderr, /--yes/)
  ok(await run('members', 'revoke', phone.id, '--yes'))
  const list = JSON.parse(ok(await run('members', 'list', '--json'))) as MemberInfo[]
  assert.is(list[1]?.role, null)
  assert.equal(JSON.parse(ok(await run('members', 'excluded', '--json'))), [])
  await phone.close()
  const nobody = await run('members', 'revoke', 'nobody', '--yes')
  assert.is(nobody.code, 2)
  const again = await run('members', 'promote', phone.id, 'writer')
  assert.equal([again.code, /no log that counts/.test(again.stderr)], [1, true])
  ok(await run('members', 'restore', phone.id))
  assert.match(ok(await run('members', 'excluded')), /Everything/)
  assert.match(ok(await run('members', 'ballots')), /No ballot/)
  assert.match(ok(await run('members', 'asking')), /Nobody asks/)
  const stranger = await run('members', 'admit', there.writer, 'reader')
  assert.equal([stranger.code, /asking/.test(stranger.stderr)], [2, true])
  assert.is((await run('members', 'leave')).code, 2)
  const owner = await run('members', 'leave', '--yes')
  assert.equal([owner.code, /ballot/.test(owner.stderr)], [1, true])
  assert.match(ok(await run('list')), /^early\t1\n$/)

  /** The phone and the store's device, until something holds. */
  async function meet(holds: (here: Space) => Promise<boolean>): Promise<void> {
    const device = await openDevice({ storage: store })
    const here = await device.openSpace(there.address)
    const cut = connect(here, there)
    await until(() => holds(here))
    cut()
    await device.close()
  }
})

test.run()
