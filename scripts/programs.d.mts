export function findChromium(): string | null
export function hasOpenssl(): boolean
