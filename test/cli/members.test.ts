/** The commands that tell and change who is in a space. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { MemberDeviceInfo, MemberInfo, Space } from '../../multiwriter/index.ts'
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
  ok(await run('members', 'role', phone.id, 'admin'))
  assert.match(
    ok(await run('members', 'list')),
    /^owner .*this device\nadmin {2}device .* never seen\n$/
  )
  assert.match(ok(await run('device', 'list')), /^owner {2}\S+ {2}connected\n$/)
  await there.db.put('early', 1)
  await there.db.sub('people').put(there.writer, { name: 'Ben' })
  await meet(
    async (here) =>
      there.members.list()[1]?.role === 'admin' && (await here.db.get('early')) !== null
  )

  assert.match(
    ok(await run('members', 'list')),
    /admin {2}Ben {2}device .* seen \d{4}-\d\d-\d\d \d\d:\d\d\n$/
  )

  await there.db.put('late', 2)
  const asked = await run('members', 'revoke', phone.id)
  assert.is(asked.code, 2)
  assert.match(asked.stderr, /--yes/)
  const revoking = ['--store', store, 'members', 'revoke', phone.id]
  const kept = await manyhands.runWith({ terminal: 80, stdin: 'n\n' }, revoking)
  assert.equal([kept.code, /Nothing was done/.test(kept.stderr)], [2, true])
  const revoked = await manyhands.runWith({ terminal: 80, stdin: 'y\n' }, revoking)
  assert.match(ok(revoked), /Revoked/)
  assert.match(revoked.stderr, /Go on\?/)
  const list = JSON.parse(ok(await run('members', 'list', '--json'))) as MemberInfo[]
  assert.is(list[1]?.role, null)
  assert.equal(JSON.parse(ok(await run('members', 'excluded', '--json'))), [])
  await phone.close()
  const nobody = await run('members', 'revoke', 'nobody', '--yes')
  assert.is(nobody.code, 2)
  const again = await run('members', 'role', phone.id, 'writer')
  assert.equal([again.code, /no log that counts/.test(again.stderr)], [1, true])
  ok(await run('members', 'restore', phone.id))
  assert.match(ok(await run('members', 'excluded')), /Everything/)
  assert.match(ok(await run('members', 'ballot')), /No ballot/)
  assert.match(ok(await run('members', 'asking')), /Nobody asks/)
  const stranger = await run('members', 'admit', there.writer, 'reader')
  assert.equal([stranger.code, /asking/.test(stranger.stderr)], [2, true])
  assert.is((await run('members', 'leave')).code, 2)
  const notMine = await run('device', 'revoke', phone.id, '--yes')
  assert.equal([notMine.code, /none of your devices/.test(notMine.stderr)], [2, true])
  const own = JSON.parse(ok(await run('device', 'list', '--json'))) as readonly MemberDeviceInfo[]
  const mine = await run('device', 'revoke', own[0]?.device ?? '', '--yes')
  assert.equal([mine.code, /only owner/.test(mine.stderr)], [1, true])
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

test('members: a writer that was let in below a prefix is let in elsewhere, too', async () => {
  const folder = manyhands.path('narrow')
  const there = (...args: readonly string[]) => manyhands.run('--store', folder, ...args)
  ok(await there('init'))
  ok(await there('space', 'create', 'Team', '--closed'))
  const ticket = ok(await there('space', 'ticket')).trim()
  const phone = await openDevice({ storage: manyhands.path('narrow-phone') })
  const other = await phone.openSpace(ticket)
  const device = await openDevice({ storage: folder })
  const space = await device.openSpace(other.address)
  const cut = connect(space, other)
  await until(() => space.members.asking().length === 1)
  await space.members.admit(other.writer, 'writer', { prefixes: ['db:contacts'] })
  await until(() => other.members.list().length === 2)
  cut()
  await device.close()
  const unclear = await there('members', 'role', phone.id, 'writer', '--below', 'contacts')
  assert.equal([unclear.code, /prefixes/.test(unclear.stderr)], [2, true])
  ok(await there('members', 'role', phone.id, 'writer', '--below', 'db/o', 'documents:todo'))
  const list = ok(await there('members', 'list'))
  assert.match(list, /below db:contacts db\/o documents:todo\n$/)
  await phone.close()
})

test.run()
