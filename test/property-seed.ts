/**
 * Properties draw from one seed, so that a run says the same on every machine: the search for new
 * cases belongs to `npm run fuzz`. PROPERTY_SEED draws others; fast-check prints what it found.
 */
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 20_261_122) })
