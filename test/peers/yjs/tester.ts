/** Yjs' own tester compares documents that random users edited on five devices, down to the structs (docs/PEERS.md). */
import * as assert from 'uvu/assert'
import { compare } from 'yjs/testHelper'
import { seededRandom } from '../../support/random.ts'
import { openUsers, reloaded, untilSame, Wires } from './connector.ts'
import { editAtRandom } from './random-edits.ts'

const USERS = 5

/** Edits by five users, who lose and find each other meanwhile; then all of them are compared. */
export async function runTester(seed: number, edits: number): Promise<void> {
  const random = seededRandom(seed)
  const { users, close } = await openUsers(USERS)
  const wires = new Wires(users)
  for (let i = 0; i < edits; i++) {
    const user = users[random.below(USERS)]
    if (user === undefined) continue
    if (random.below(100) < 5) wires.change(random)
    if (random.below(100) < 2) user.provider.disconnect()
    else user.provider.connect()
    if (random.below(4) === 0) await new Promise((resolve) => setImmediate(resolve))
    if (random.below(100) < 2) await user.provider.flush()
    editAtRandom(user.doc, random)
  }
  wires.connectAll()
  for (const { provider } of users) provider.connect()
  await untilSame(users)
  for (const { space } of users) assert.equal(space.refusals(), [])
  compare(reloaded(users))
  wires.cutAll()
  await close()
}
