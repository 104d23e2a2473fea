import { defineConfig } from 'vitest/config'

/** Two workers: the cap of 10 minutes is stated for 2 cores. A test names its own longer limit. */
export default defineConfig({
  test: {
    root: new URL('.', import.meta.url).pathname,
    include: ['**/*.test.ts'],
    globalSetup: ['./programs.ts'],
    setupFiles: ['./property-seed.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
})
