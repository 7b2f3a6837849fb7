/** A process that reads, with hyperbee2's own `get`, a node that is its own child. Never ends (docs/decisions/002). */
import b4a from 'b4a'
import Hyperbee from 'hyperbee2'
import NodeCache from 'hyperbee2/lib/cache.js'
import CoreContext from 'hyperbee2/lib/context.js'
import { forgeBlock } from './forge.ts'
import { openLogStore } from './tree.ts'

interface Getter {
  get(key: Uint8Array): Promise<unknown>
}

const store = await openLogStore()
const core = await store.own('spin')
const keys = [{ key: b4a.from('m'), value: b4a.from('x') }]
const children = [{ seq: 0 }, { seq: 0 }]
await core.append([forgeBlock(0, { nodes: [{ keys: [{ seq: 0 }], children }], keys })])

const context = new CoreContext(store.corestore, core, new NodeCache(16), core, () => null)
const bee = new Hyperbee(store.corestore, { core, context, writable: false, autoUpdate: false })
await bee.ready()
// The folder would outlive the process when it is killed.
process.stdout.write(`reading ${store.path}\n`, () => {
  const timer = setTimeout(() => console.log('the event loop still turns'), 1000)
  void (bee as unknown as Getter).get(b4a.from('a')).then(() => {
    clearTimeout(timer)
    console.log('done')
  })
})
