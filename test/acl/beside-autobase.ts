/**
 * The same attacks on Autobase, as far as it has the notion: writers that add and remove each other. Played for real, and told as
 * it came out: which of two concurrent removals comes first is decided there by random keys.
 */
import { tempFolder } from '../support/devices.ts'
import { Writer, type Writers } from '../support/autobase.ts'

interface Counterpart {
  /** Part of the title of ours. */
  readonly title: string
  play(writers: Writers): Promise<readonly string[]>
}

const COUNTERPARTS: readonly Counterpart[] = [
  {
    title: 'the founder removes an admin, who meanwhile removes the founder',
    async play(all) {
      const [alice, bob] = all
      await alice.remove(bob)
      await bob.remove(alice)
      await Writer.meet(all)
      return [standing([alice, bob])]
    }
  },
  {
    title: 'two admins remove each other',
    async play(all) {
      const [, bob, carol] = all
      await bob.remove(carol)
      await carol.remove(bob)
      await Writer.meet(all)
      return [standing([bob, carol]), 'which of the two is out, their keys have decided']
    }
  },
  {
    title: 'three admins remove each other in a circle',
    async play(all) {
      const [, bob, carol, dave] = all
      await bob.remove(carol)
      await carol.remove(dave)
      await dave.remove(bob)
      await Writer.meet(all)
      return [standing([bob, carol, dave]), 'who is out, their keys have decided']
    }
  },
  {
    title: 'a removed writer writes offline',
    async play(all) {
      const [alice, bob, carol] = all
      await carol.put('late')
      const before = await carol.shows('late')
      await alice.remove(carol)
      await Writer.meet(all)
      const shown = await Promise.all(all.map((each) => each.shows('late')))
      const after = [
        standing([bob, carol]),
        `"late" is shown by ${shown.filter(Boolean).length} of 4 afterwards`,
        `told of it: alice ${events(alice)}, bob ${events(bob)}, carol ${events(carol)}`
      ]
      await alice.add(carol)
      await Writer.meet(all)
      return [
        `carol writes "late" offline, and ${before ? 'sees it' : 'does not see it'}`,
        ...after,
        `carol is added again: "late" is ${(await alice.shows('late')) ? 'back' : 'not back'}`
      ]
    }
  }
]

/** What came of it there; null where there is nothing to compare. */
export async function besideAutobase(title: string): Promise<readonly string[] | null> {
  const found = COUNTERPARTS.find((each) => title.startsWith(each.title))
  if (found === undefined) return null
  const folder = await tempFolder()
  const all = await Writer.all(folder.path)
  try {
    return await found.play(all)
  } finally {
    for (const each of all) await each.close()
    await folder.remove()
  }
}

function standing(all: readonly Writer[]): string {
  return all.map(({ name, isWriter }) => `${name} ${isWriter ? 'writes' : 'is out'}`).join(', ')
}

/** Since everybody was in. */
function events({ told }: Writer): string {
  return told.length === 0 ? 'nothing' : told.join(', ')
}
