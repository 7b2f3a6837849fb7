import createTestnet from 'hyperdht/testnet.js'
import { MemoryNetwork } from '../../core/index.ts'
import { swarm } from '../../core/native/index.ts'
import { testTransport } from '../contract/transport.ts'

testTransport('memory', () => {
  const network = new MemoryNetwork()
  return Promise.resolve({ transport: network.transport, close: () => Promise.resolve() })
})

testTransport('swarm', async () => {
  const host = '127.0.0.1'
  const testnet = await createTestnet(3, { host })
  return {
    transport: swarm({ bootstrap: testnet.bootstrap, host, firewalled: false }),
    close: () => testnet.destroy()
  }
})
