/**
 * Compiles the bench's and the product's TypeScript as the build does. tsx would wrap every small function that is made at run
 * time so that it keeps its name (esbuild's keepNames), which takes a quarter of a scan's processor time and is not in what users install.
 */
import { register } from 'node:module'

register('./loader-hooks.mjs', import.meta.url)
