/** Backup and restore: a new device with everything in it, or nothing; what the old device signed is verified, not believed. */
import { existsSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import b4a from 'b4a'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isAttested } from '../../core/index.ts'
import { certifyBy } from '../../core/native/backup/certifier.ts'
import { KnownNodes } from '../../core/native/backup/known-nodes.ts'
import { openStore, restoreBackup, type RestoreOptions } from '../../core/native/index.ts'
import { openDevice } from '../../index.ts'
import type { Space } from '../../multiwriter/index.ts'
import { collect, collectKeys } from '../support/collect.ts'
import { connect, tempFolder, until } from '../support/devices.ts'
import { rejectsWith } from '../support/rejects.ts'
import { seededRandom } from '../support/random.ts'

async function* inPieces(bytes: Uint8Array, size = 10_000): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.byteLength; i += size) {
    await Promise.resolve()
    yield bytes.subarray(i, i + size)
  }
}

function restore(folder: string, bytes: Uint8Array, options: RestoreOptions = {}) {
  return restoreBackup(folder, inPieces(bytes), options)
}

/** A laptop and a phone in step, and the laptop's backup. */
async function scene(passphrase: string | null = null) {
  const temp = await tempFolder()
  const laptop = await openDevice({ storage: join(temp.path, 'laptop'), name: 'Laptop' })
  const phone = await openDevice({ storage: join(temp.path, 'phone') })
  const space = await laptop.createSpace({ name: 'Family', open: true })
  const same = await phone.openSpace(space.ticket)
  const cut = connect(space, same)
  for (let i = 0; i < 30; i++) await space.db.put(`l${i}`, { i, bytes: new Uint8Array(2000) })
  await same.db.put('p', 'by the phone')
  await until(async () => (await collectKeys(space.db.createReadStream())).length === 31)
  await until(async () => (await collectKeys(same.db.createReadStream())).length === 31)
  cut()
  const archive = b4a.concat(await collect(laptop.backup(passphrase)))
  const { writer, address } = space
  return { temp, laptop, phone, space, same, archive, writer, address }
}

test('backup: the store is destroyed, restored as a new device, and goes on with the others', async () => {
  const { temp, laptop, phone, same, archive, writer, address } = await scene()
  const before = await collect(same.db.createReadStream())
  const oldId = laptop.id
  await laptop.close()
  await rm(join(temp.path, 'laptop'), { recursive: true })

  const folder = join(temp.path, 'restored')
  const report = await restore(folder, archive)
  assert.equal([report.device, report.spaces, report.logs], ['Laptop', 1, 3])
  const restored = await openDevice({ storage: folder })
  assert.is(restored.name, 'Laptop')
  assert.is.not(restored.id, oldId)
  assert.is(restored.rolledBack, null)
  const space = await restored.openSpace(address)
  assert.equal(await collect(space.db.createReadStream()), before)

  // The old log is somebody else's now: it neither grows nor forks.
  assert.is.not(space.writer, writer)
  await space.db.put('l0', 'after')
  assert.is((await space.db.get('l0'))?.writer, space.writer)
  const lengthIn = (here: Space) => here.writers().find((each) => each.writer === writer)?.length
  assert.is(lengthIn(space), lengthIn(same))

  const cut = connect(space, same)
  await until(async () => (await same.db.get('l0'))?.value === 'after')
  assert.equal((await same.db.get('l0'))?.conflicts, [])
  assert.equal(same.refusals(), [])
  cut()
  await restored.close()
  await phone.close()
  await temp.remove()
})

test('backup: keys are wrapped by the passphrase and the seed is nowhere in it', async () => {
  const { temp, laptop, phone, space, archive } = await scene('open sesame')
  const folder = join(temp.path, 'restored')
  const text = b4a.toString(archive, 'latin1')
  await laptop.close()
  const store = await openStore(join(temp.path, 'laptop'))
  const secrets = [store.secrets.seed, ...store.secrets.spaces.map((each) => each.membershipKey)]
  await store.close()
  for (const secret of secrets) {
    assert.not(text.includes(b4a.toString(secret, 'hex')))
    assert.not(text.includes(b4a.toString(secret, 'latin1')))
  }
  await rejectsWith('PASSPHRASE_REQUIRED', () => restore(folder, archive))
  await rejectsWith('PASSPHRASE_WRONG', () => restore(folder, archive, { backupPassphrase: 'x' }))
  assert.not(existsSync(folder))
  await restore(folder, archive, { backupPassphrase: 'open sesame', passphrase: 'mine' })
  await rejectsWith('PASSPHRASE_REQUIRED', () => openDevice({ storage: folder }))
  const restored = await openDevice({ storage: folder, passphrase: 'mine' })
  assert.equal(restored.spaces(), [{ address: space.address, name: 'Family' }])
  await restored.close()
  await phone.close()
  await temp.remove()
})

test('backup: under a passphrase each device that is made of it is the same person’s, and is let in by the others of that', async () => {
  const temp = await tempFolder()
  const place = (name: string) => join(temp.path, name)
  const phone = await openDevice({ storage: place('phone'), name: 'Phone' })
  const laptop = await openDevice({ storage: place('laptop'), name: 'Laptop' })
  await laptop.identity.accept(phone.identity.certify(laptop.identity.request()).answer)
  const space = await phone.createSpace({ name: 'Family' })
  const old = await laptop.openSpace(space.ticket)
  const cut = connect(space, old)
  await until(() => rolesIn(space).length === 2)
  cut()
  const archive = b4a.concat(await collect(laptop.backup('open sesame')))
  await laptop.close()

  const devices = []
  for (const name of ['one', 'two']) {
    const report = await restore(place(name), archive, { backupPassphrase: 'open sesame' })
    assert.ok(report.isSamePerson)
    const device = await openDevice({ storage: place(name) })
    devices.push(device)
    assert.is(device.identity.id, phone.identity.id)
    assert.is(device.identity.hasPhrase, false)
    connect(space, await device.openSpace(space.address))
    await until(() => rolesIn(space).length === 2 + devices.length)
  }
  assert.is(new Set([laptop.id, phone.id, ...devices.map(({ id }) => id)]).size, 4)
  assert.equal(rolesIn(space), ['owner', 'owner', 'owner', 'owner'])
  assert.is(space.members.list().length, 1)

  // The old laptop was stolen, and with it the archive: what is made of that now waits for a person to decide.
  await space.members.revoke(laptop.id)
  await restore(place('late'), archive, { backupPassphrase: 'open sesame' })
  const late = await openDevice({ storage: place('late') })
  connect(space, await late.openSpace(space.address))
  await until(() => space.members.asking().some(({ device }) => device === late.id))
  assert.is(late.identity.id, phone.identity.id)
  for (const device of [...devices, late, phone]) await device.close()
  await temp.remove()
})

const rolesIn = (space: Space) =>
  space.members.list().flatMap(({ devices }) => devices.map(({ role }) => role))

test('backup: with keys that lie open nobody becomes the same person', async () => {
  const { temp, laptop, phone, archive } = await scene()
  const { id } = laptop.identity
  const report = await restore(join(temp.path, 'restored'), archive)
  assert.is(report.isSamePerson, false)
  const restored = await openDevice({ storage: join(temp.path, 'restored') })
  assert.is.not(restored.identity.id, id)
  for (const device of [restored, laptop, phone]) await device.close()
  await temp.remove()
})

test('backup: its certifier is the bytes that docs/FORMAT.md tells, and none that was changed or cut off', async () => {
  const golden = JSON.parse(
    await readFile(new URL('../vectors/backup-certifier.json', import.meta.url), 'utf8')
  ) as Record<'key' | 'certifier' | 'device' | 'identity' | 'attestation', string>
  const [key, certifier, device, identity] = [
    b4a.from(golden.key, 'hex'),
    b4a.from(golden.certifier, 'hex'),
    b4a.from(golden.device, 'hex'),
    b4a.from(golden.identity, 'hex')
  ]
  const { attestation = b4a.alloc(0) } = certifyBy(certifier, key, device) ?? {}
  assert.is(b4a.toString(attestation, 'hex'), golden.attestation)
  assert.ok(isAttested(identity, device, attestation))
  for (let at = 0; at < certifier.byteLength; at++) {
    const changed = b4a.from(certifier)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.is(certifyBy(changed, key, device), null, `byte ${at}`)
    assert.is(certifyBy(certifier.subarray(0, at), key, device), null, `cut at ${at}`)
  }
})

/** What stands in a folder for its members' names. */
function membersIn(archive: Uint8Array): { name: string; start: number; size: number }[] {
  const members = []
  for (let at = 0; archive[at] !== 0;) {
    const header = b4a.toString(archive.subarray(at, at + 512), 'latin1')
    const name = header.slice(0, header.indexOf('\0'))
    const size = Number.parseInt(header.slice(124, 136), 8)
    members.push({ name, start: at + 512, size })
    at += 512 + Math.ceil(size / 512) * 512
  }
  return members
}

test('backup: cut off anywhere or with any member changed it is refused, and nothing is left', async () => {
  const { temp, laptop, phone, archive } = await scene()
  await laptop.close()
  await phone.close()
  const folder = join(temp.path, 'restored')
  const before = await readdir(temp.path)
  const members = membersIn(archive)
  assert.ok(members.length >= 6, members.map(({ name }) => name).join(' '))
  const random = seededRandom(3)

  for (const { name, start, size } of members) {
    const changed = b4a.from(archive)
    const at = start + random.below(size)
    changed[at] = (changed[at] ?? 0) ^ 1
    const error = await rejectsWith('BACKUP_INVALID', () => restore(folder, changed)).catch(
      (reason: unknown) => {
        // A digit of the label's version says that it is a newer one.
        if (name === 'manyhands-backup.json') return new Error(name)
        throw reason
      }
    )
    assert.ok(name === 'contents.json' || error.message.includes(name), `${name}: ${error.message}`)

    for (const length of [start - 512, start + random.below(size)]) {
      const part = archive.subarray(0, length)
      await rejectsWith('BACKUP_INVALID', () => restore(folder, part))
    }
  }
  for (const nothing of ['', 'no tar at all', 'x'.repeat(2000)]) {
    await rejectsWith('BACKUP_INVALID', () => restore(folder, b4a.from(nothing)))
  }
  assert.equal(await readdir(temp.path), before)
  await temp.remove()
})

test('backup: a whole member that is left out is missed by its name', async () => {
  const { temp, laptop, phone, archive } = await scene()
  await laptop.close()
  await phone.close()
  const [, , ...rest] = membersIn(archive)
  for (const { name, start, size } of rest) {
    const end = start + Math.ceil(size / 512) * 512
    const without = b4a.concat([archive.subarray(0, start - 512), archive.subarray(end)])
    const error = await rejectsWith('BACKUP_INVALID', () =>
      restore(join(temp.path, 'restored'), without)
    )
    assert.ok(/is missing|was backed up/.test(error.message), `${name}: ${error.message}`)
  }
  await temp.remove()
})

test('backup: an existing store is never overwritten, an empty folder is used', async () => {
  const { temp, laptop, phone, archive } = await scene()
  await laptop.close()
  const error = await rejectsWith('STORE_FOREIGN', () =>
    restore(join(temp.path, 'laptop'), archive)
  )
  assert.match(error.message, /not empty/)
  const empty = await tempFolder()
  await restore(empty.path, archive)
  const device = await openDevice({ storage: empty.path })
  assert.is(device.spaces().length, 1)
  await device.close()
  await empty.remove()
  await phone.close()
  await temp.remove()
})

test('backup: a source that fails leaves nothing', async () => {
  const { temp, laptop, phone, archive } = await scene()
  await laptop.close()
  await phone.close()
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield* inPieces(archive.subarray(0, 5000))
    throw new Error('the network went away')
  }
  const folder = join(temp.path, 'restored')
  await rejectsWith('BACKUP_INVALID', () => restoreBackup(folder, failing()))
  assert.not(existsSync(folder))
  assert.equal(
    (await readdir(dirname(folder))).filter((name) => name.includes(basename(folder))),
    []
  )
  await temp.remove()
})

test('backup: of a log with gaps what is here is restored, each hash once, as the stack counts them', async () => {
  const temp = await tempFolder()
  const from = await openStore(join(temp.path, 'from'))
  const to = await openStore(join(temp.path, 'to'))
  const random = seededRandom(11)
  for (const length of [1, 2, 3, 7, 8, 64, 100, 333]) {
    const salt = b4a.alloc(32, length % 256)
    const log = await from.ownLog('data', salt, null)
    for (let i = 0; i < length; i++) await log.core.append(b4a.from(`block ${i}`))
    const copy = await to.remoteLog(log.core.key, null)
    const upgrade = await log.core.proof({ upgrade: { start: 0, length } })
    await copy.applyProof({ ...upgrade, manifest: log.core.manifest })
    const known = new KnownNodes(length)
    for (let index = 0; index < length; index++) {
      if (random.below(3) === 0) continue
      const nodes = known.take(index)
      assert.is(nodes, await copy.missingNodes(index), `block ${index} of ${length}`)
      assert.ok(await copy.applyProof(await log.core.proof({ block: { index, nodes } })))
    }
    await copy.close()
    await log.close()
  }
  await from.close()
  await to.close()
  await temp.remove()
})

test.run()
