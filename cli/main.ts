#!/usr/bin/env node
/** The command `manyhands`. */
import { processHost } from './host.ts'
import { manyhands } from './manyhands.ts'

process.exit(await manyhands(process.argv.slice(2), processHost))
