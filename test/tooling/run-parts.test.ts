/** What the runner keeps between its runs: how long each file took, and nothing of those that were killed. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tempFolder } from '../support/devices.ts'
import { removeStale } from '../support/stripped.ts'
import { keepTimes, longestFirst } from '../support/times.ts'

const folder = await tempFolder()

test.after(() => folder.remove())

const FILES = ['test/acl/a.test.ts', 'test/browser/b.test.ts', 'test/crdt/c.test.ts']
const [ACL = '', BROWSER = '', CRDT = ''] = FILES

test('runner: the longest files come first, as last time, and before that as guessed', () => {
  const kept = path.join(folder.path, 'new', 'times.json')
  assert.equal(longestFirst(FILES, kept), [BROWSER, ACL, CRDT])
  keepTimes([{ file: CRDT, seconds: 99.04 }], kept)
  assert.equal(longestFirst(FILES, kept), [CRDT, BROWSER, ACL])
  keepTimes([{ file: ACL, seconds: 100 }], kept)
  assert.equal(longestFirst(FILES, kept), [ACL, CRDT, BROWSER], 'what did not run keeps its time')
})

test('runner: times that cannot be read are guessed, and written anew', () => {
  for (const text of ['', 'null', '[', '[1]', '{ "test/acl/a.test.ts": "long" }']) {
    const kept = path.join(folder.path, 'damaged.json')
    writeFileSync(kept, text)
    assert.equal(longestFirst(FILES, kept), [BROWSER, ACL, CRDT], text)
    keepTimes([{ file: ACL, seconds: 100 }], kept)
    assert.equal(longestFirst(FILES, kept), [ACL, BROWSER, CRDT], text)
  }
})

test('runner: what a killed run had stripped is removed, and not that of a run under way', async () => {
  const { pid: dead } = spawnSync(process.execPath, ['--version'])
  const names = [dead, process.ppid, process.pid].map((pid) => `manyhands-stripped-${pid}`)
  const cache = path.join(folder.path, 'cache')
  for (const name of [...names, 'of-others']) mkdirSync(path.join(cache, name), { recursive: true })
  await removeStale(cache)
  assert.equal(readdirSync(cache).sort(), [`manyhands-stripped-${process.ppid}`, 'of-others'])
  await removeStale(path.join(folder.path, 'none'))
})

test.run()
