/** For the acceptance suites of automerge-repo, which are written for vitest; acceptance.test.ts runs them. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/peers/automerge-repo/*.suite.ts'],
    // Native modules, and a process that ends whatever it left open.
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 20_000
  }
})
