/**
 * Lets Node 20 run the project's TypeScript: `node --import ./scripts/typescript.mjs file.ts`. Types are stripped as the build does
 * it, so what runs is what users install; nothing else changes, CommonJS included. (tsx also wraps every small function that is made at
 * run time so that it keeps its name, a quarter of a scan's processor time, and looks at each file of every dependency.)
 */
import { register } from 'node:module'

process.setSourceMapsEnabled(true)
register('./typescript-hooks.mjs', import.meta.url)
