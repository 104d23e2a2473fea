/**
 * Every limit and timeout of the house, with unit, default and reason. Plug-ins take theirs as
 * options whose defaults are these.
 */

/** The first bytes of every hello; grows when frames change. */
export const PROTOCOL_VERSION = 1

/** What names a node, and what a name of another kind must match. */
export const ID = /^[A-Za-z0-9_-]{1,64}$/
export const ID_RULE = 'must be 1 to 64 of A-Z a-z 0-9 _ -'

export const LIMITS = {
  /** An ordinal: a byte of the epoch's number. */
  ordinalMax: 255,
  /** UTF-16 units of a member's address. */
  addressCharsMax: 1_024,
  /** UTF-8 bytes. SECURITY 7. */
  keyBytesMax: 512,
  /** UTF-8 bytes. SECURITY 7. */
  cacheNameBytesMax: 64,
  /** Caches of a cluster; a write that would make one more ends as 'full'. Each costs 14 KiB. */
  cachesMax: 1_024,
  /** One value, where nobody says: createNode's option valueBytesMax. SECURITY 8. */
  valueBytesMax: 2 ** 20,
  /** What that option may be: below, its frames would be all head; above, one value holds up a link
   *  for longer than a heartbeat may be late. SECURITY 8. */
  valueBytesFloor: 1_024,
  valueBytesCeiling: 16 * 2 ** 20,
  /** A frame holds one value of the limit and so much besides. SECURITY 6. */
  frameRoomBytes: 65_536,
  /** A larger value is taken, or given, only while nothing else of its link waits: else one client
   *  would hold several times callBytesPerLinkMax. SECURITY, below row 12. */
  largeValueBytes: 4 * 2 ** 20,
  /** Between a client and a node: one value and its frame; follows valueBytesMax. SECURITY 6. */
  clientFrameBytesMax: 2 ** 20 + 65_536,
  /** Between nodes, more where one value and its frame are. SECURITY 6. */
  peerFrameBytesMax: 4 * 2 ** 20,
  /** Before the hello is accepted: one frame, all frames, and how many. SECURITY 1. */
  helloBytesMax: 4_096,
  greetingBytesMax: 16_384,
  greetingFramesMax: 8,
  /** Unsent answers to a stranger, bytes. SECURITY 2. */
  greetingQueueBytesMax: 16_384,
  /** Arriving links that have not finished their handshake: in all, and from one address. Whoever
   *  shares an address with a peer has only the latter. SECURITY 4. */
  strangersMax: 256,
  strangersPerHostMax: 16,
  /** Clients' links that were ended for what they sent or held up, by address: so many cost
   *  nothing, then whoever comes from there is read from later, twice as late each time, up to half
   *  of a handshake. Forgiven with time. 10,000 that drip a byte a second came back 1,700 times a
   *  second, at 0.2 ms each. */
  endedFree: 4,
  endedMax: 16,
  endedForgivenPerMinute: 5,
  endedHostsMax: 10_000,
  endedWaitMs: 100,
  /** Links of one node; peers are let in above it. SECURITY 4. */
  linksMax: 10_000,
  /** Files and sockets that a process may open besides what arrives. SECURITY 4. */
  descriptorsReserve: 64,
  /** A frame that has begun comes at least this fast. SECURITY 10. */
  frameBytesPerSecMin: 1_024,
  /** Calls of one client without an answer, and their bytes; then it is not read from.
   *  SECURITY 9. */
  callsPerLinkMax: 1_024,
  callBytesPerLinkMax: 4 * 2 ** 20,
  /** Calls in one request frame. SECURITY 9. */
  requestsPerFrameMax: 1_024,
  /** Writes of one window without an answer. PROTOCOL 10. */
  windowWritesMax: 1_024,
  /** Idempotency windows on a cluster. PROTOCOL 10. */
  windowsMax: 10_000,
  /** A window that was not used for this long is closed by an entry. */
  windowIdleMs: 30 * 60_000,
  /** Records a scan page may hold. SECURITY 9. */
  scanPageMax: 1_000,
  /** Unsent bytes for a client; then it is cut off (SECURITY 12). */
  clientQueueBytesMax: 8 * 2 ** 20,
  /** ... and for all clients together: 32 that read nothing, or 10,000 that are 26 KB behind.
   *  Beyond, those with the most are cut off first. SECURITY 12, TESTING 10. */
  clientQueuesBytesMax: 256 * 2 ** 20,
  /** Unsent bytes for a slave; the backlog holds the rest. PROTOCOL 13. */
  peerQueueBytesMax: 2 ** 20,
  /** Bytes of calls that wait inside a client for a master. */
  callQueueBytesMax: 32 * 2 ** 20,
  /** Calls that wait inside a client. */
  callsMax: 65_536,
  /** The log kept in memory for partial resyncs. PROTOCOL 4. */
  backlogBytesMax: 64 * 2 ** 20,
  backlogEntriesMax: 1_000_000,
  /** Writes a master holds without their acks; then BUSY. PROTOCOL 13. */
  unackedBytesMax: 32 * 2 ** 20,
  unackedWritesMax: 10_000,
  /** A batch grows to it; only a single larger entry makes a larger one. A quarter of a peer's
   *  queue, so that the newest batch fits behind what is on its way. */
  batchBytes: 256 * 1_024,
  /** Epochs of which a reader remembers what it has seen until it met their entries again; beyond,
   *  the oldest is forgotten. With 8, ten handovers between two reads were enough (seed 7871). */
  positionsMax: 32,
  /** Reads that wait on a node for an entry or for a majority, and their bytes; then BUSY. */
  parkedReadsMax: 10_000,
  parkedReadsBytesMax: 8 * 2 ** 20,
  /** A snapshot slice. PROTOCOL 12. */
  snapshotSliceBytes: 256 * 1_024,
  /** A piece of what the losing side of a split changed; each side holds one. As a slice. */
  mergePieceBytes: 256 * 1_024,
  /** Records that first touch holds for the next slice; more restarts the copy. */
  snapshotPendingBytesMax: 64 * 2 ** 20,
  /** Ends of records (deletions, evictions) that a node of strategy broadcast remembers for members
   *  that have not met them: some 150 MiB. Beyond, the oldest go, and who has not met them begins
   *  anew. */
  endsMax: 1_000_000,
  /** Nodes that a relayed link may pass: two networks need one, a chain of four networks three. */
  relayHopsMax: 4,
  /** Relayed links that pass a node, and those that end at it: a full mesh of 32 nodes. */
  relayCircuitsMax: 1_024,
  /** Of one relayed link, each way, on the way and not yet taken: a quarter of a peer's queue. */
  relayWindowBytes: 256 * 1_024,
} as const

export const TIMES = {
  /** A call's deadline. */
  timeoutMs: 5_000,
  /** The engine's tick; judged fine enough for the 75 ms steps of promotion. */
  tickMs: 25,
  /** Connect and hello together. SECURITY 3. */
  handshakeMs: 2_000,
  /** A frame may come so late in all, stalls of its sender included. SECURITY 10. */
  frameGraceMs: 5_000,
  /** A client that takes nothing of what waits for it is cut off after this. SECURITY 12. */
  stalledMs: 10_000,
  /** First redial after a loss is at once: a refused redial is the fast evidence of death. */
  redialMsMin: 20,
  redialMsMax: 1_000,
  /** The TLS handshake alone, within handshakeMs unless that is raised. SECURITY 3. */
  tlsHandshakeMs: 5_000,
  heartbeatMs: 100,
  suspectAfterMs: 1_000,
  /** A peer vouches for a master it heard within this time. PROTOCOL 7. */
  heardWithinMs: 600,
  /** Silence below which a hint starts nothing. PROTOCOL 7. */
  hintSilenceMsMin: 700,
  /** Wait for each unsuspected slave of lower ordinal. PROTOCOL 7. */
  ordinalStepMs: 75,
  /** A candidate waits this long for every linked peer: longer than a stall of 500 ms, because a
   *  slave that is busy may be the only one that holds what was acknowledged. */
  promiseWaitMs: 600,
  /** ... but only so long for the suspected master itself. PROTOCOL 8. */
  oldMasterWaitMs: 150,
  /** The master answers ACK_TIMEOUT before a default client deadline ends. */
  ackTimeoutMs: 3_000,
  /** How far behind the master a local read may be where nobody says: a session's reader rarely
   *  minds, and a failover takes less. */
  maxStaleMs: 5_000,
  /** A slave waits so long for the entry that a token names, then the read goes to the master.
   *  PROTOCOL 11. */
  tokenWaitMs: 50,
  /** A master waits so long for an entry of a higher epoch than its own, then that epoch is lost:
   *  longer than it takes a deposed master to stop serving (stoppedMs). */
  lostEpochMs: 1_000,
  /** A master that was stopped asks its slaves and answers nobody for so long. */
  doubtMs: 300,
  /** A clock that jumped by this much says: I was stopped. PROTOCOL 9. */
  stoppedMs: 800,
  /** An ordinal cluster begins without its unreachable members after this. PROTOCOL 12. */
  bootstrapWaitMs: 5_000,
} as const

/** Proofs of who is on the other side of a link. SECURITY 5. */
export const AUTH = {
  /** PBKDF2's count for new passwords, what OWASP asks of SHA-256: some 0.3 s of one core. */
  iterations: 600_000,
  /** RFC 7677's least; a dialler refuses fewer, which would help whoever stole the proof. */
  iterationsMin: 4_096,
  /** A dialler refuses more: a false server must not keep it busy. Some 5 s of one core. */
  iterationsMax: 10_000_000,
  /** Of the cluster's secret: nobody guesses 32 bytes. */
  secretBytesMin: 32,
  /** Of a file with a secret or a password; users may have more. */
  secretFileBytesMax: 4_096,
  usersFileBytesMax: 4 * 2 ** 20,
  /** Of --config. */
  configFileBytesMax: 2 ** 20,
  /** A failed attempt's reply waits so long, twice as long each time. SECURITY 5. */
  delayMs: 100,
  delayMsMax: 3_000,
  /** Failed attempts of one host for one user at once, then a minute; and how many such pairs are
   *  remembered. KIP-306. */
  failuresBurst: 10,
  failuresPerMinute: 5,
  allowancesMax: 10_000,
  /** Failures of this time share one log line. */
  logEveryMs: 1_000,
  /** Grants of one user: a line stays short, and a new cache name is judged in some us. */
  grantsMax: 64,
  /** Cache names whose rights a link remembers; then it forgets them all and judges anew. */
  cachesJudgedMax: 256,
  /** Hints of one identity that are closer together are passed over. PROTOCOL 7. */
  hintEveryMs: 200,
  /** Salts whose keys a dialler keeps, and those it works on at once. */
  keysMax: 16,
  derivationsMax: 4,
} as const

/** Finding each other. SECURITY 15. */
export const DISCOVERY = {
  /** The administratively scoped block of RFC 2365; a port that is nobody's at IANA. */
  group: '239.255.71.67',
  port: 7_446,
  /** Of announcements, and what it may be. A node that comes is heard at once (it announces itself,
   *  and those that hear it do), so this is how soon a client or a silence is noticed. */
  intervalMs: 500,
  intervalMsMin: 50,
  intervalMsMax: 60_000,
  /** Each interval is up to so much shorter or longer, or all would speak at once. */
  jitter: 0.2,
  /** An announcement provoked by a newcomer comes so long after the last one at the earliest. */
  answerMsMin: 100,
  /** Intervals of silence after which a node is forgotten: two may get lost. */
  silentIntervals: 4,
  /** One datagram: far below any MTU, so it is never cut. SECURITY 15. */
  datagramBytesMax: 512,
  /** UTF-8 of an announced address: its length is a byte. */
  addressBytesMax: 255,
  /** An announcement is this old at most, by both wall clocks: a recorded one is worth nothing
   *  afterwards, and within it only what is newer than the last of its process counts.
   *  SECURITY 15. */
  replayMs: 30_000,
  /** Nodes that are remembered: two processes of each ordinal. */
  sightingsMax: 512,
  /** Signatures judged in a second: 512 nodes at 500 ms, or 1 % of a core. */
  judgedPerSecMax: 1_024,
  /** Lines of the log about what was dropped come at most this often. */
  logEveryMs: 10_000,
  /** Names are asked for again after it; one lookup may take so long, and is tried so often. */
  lookupEveryMs: 5_000,
  lookupMs: 2_000,
  lookupTries: 2,
} as const

/** From addresses to a cluster (discovery/README.md). */
export const FORMATION = {
  /** Every known address is asked again after it. */
  askEveryMs: 200,
  /** Nobody founds before it has listened for so long: one that there is, is heard by then. */
  listenMs: 1_500,
  /** What a process has said of itself counts for so long, from the moment it was asked. */
  freshMs: 1_000,
  /** A promise to found binds for so long after it was told last: thrice what it counts, so that
   *  whoever acts on it has done so. */
  promiseMs: 3_000,
  /** In profile ordinal it binds no longer than this, though nobody has said that it is over. */
  abandonMs: 10_000,
  /** Profile ordinal founds without the founders of its ordinals after this, as it begins without
   *  unreachable members (TIMES.bootstrapWaitMs). */
  patienceMs: 5_000,
  /** An id whose former process the master calls online is refused after this: one that was killed
   *  is noticed at once, one that vanished or froze within the 2 s of in-sync. */
  takenMs: 5_000,
  /** A refused request to join that may succeed later is made again after it, and jitter. */
  joinEveryMs: 500,
  /** How long one request to join may take. */
  joinMs: 5_000,
  /** Why it waits is logged so often. */
  logEveryMs: 10_000,
  /** Founding members where nobody says, in profile ordinal: fewer cannot fail over. */
  expect: 2,
} as const

/** Streams over a broker (NATS). */
export const BROKER = {
  /** The part of a large write that travels in one message; less where the broker takes less. */
  messageBytesMax: 128 * 1_024,
  /** Bytes of one node that travel to another and were not taken yet: 50 MB/s at 20 ms. */
  windowBytes: 2 ** 20,
  /** ... of one client to a node, and of all together: a broker cuts a process off for which 64 MiB
   *  wait, so the more there are the less each may have on its way. */
  clientWindowBytes: 256 * 1_024,
  clientWindowBytesMin: 4_096,
  clientWindowsBytes: 32 * 2 ** 20,
  /** Published bytes of which nobody knows yet whether the broker has read them; more are not
   *  given to its library, whose buffer has no bound. */
  unreadBytesMax: 8 * 2 ** 20,
  /** The broker is asked what it has read whenever so many were published. */
  unreadBytesStep: 512 * 1_024,
  /** Pieces of a turn that are compared with a new one, to publish equal ones once. */
  manyLooksMax: 8,
  /** Streams are looked after this often: a node that died is noticed within it, because the broker
   *  says at once that nobody hears a pulse. */
  tickMs: 100,
  /** Of a client's stream, pulses of either side: 10,000 of them cost 15,000 messages a second. */
  clientPulseTicks: 10,
  servedPulseTicks: 20,
  /** A stream of which nothing was heard is over: five times what a blocked loop is forgiven. */
  silentTicks: 50,
  /** Nobody listens under a name: asked again every askAgainMs before that is believed, because a
   *  node that the broker cut off is back within some ms ... */
  goneMs: 90,
  askAgainMs: 30,
  /** ... and believed to be no death so soon after a broker (or our way to it) came back. */
  settleMs: 2_000,
  /** Between attempts to reach a broker, and how long one may take. */
  retryMs: 250,
  attemptMs: 2_000,
  /** start() waits so long for the broker; then it goes on being tried. */
  startMs: 2_000,
  /** A line of the log while it cannot be reached, once in ... */
  complainMs: 10_000,
  /** Its library asks it for a sign so often, and gives it up after two without an answer. */
  pingMs: 2_000,
  /** Somebody who listens under our name says so within ... */
  claimMs: 300,
  /** ... and a rival who begins at the same time within ... */
  claimSettleMs: 100,
  /** What a closed stream may still take to send its last bytes. */
  lingerMs: 250,
} as const

/** A lease on mastership; all but the bounds are shares of its ttlMs. */
export const LEASE = {
  ttlMs: 2_000,
  /** Below, a busy broker's disk would end it; above, nobody would wait so long for a failover. */
  ttlMsMin: 500,
  ttlMsMax: 60_000,
  /** The holder stops so much before, a contender begins so much after: clocks may differ from true
   *  time by 10 % each way, as 0.9 / 0.9 <= 1.1 / 1.1. */
  marginShare: 0.1,
  /** Asked for again: six times before it ends, with answers as late as they may be. */
  renewShare: 0.2,
  answerShare: 0.125,
  /** Answers that did not come in time, in a row, before it is said: those of a whole ttlMs. */
  silentRequests: 8,
  /** After a refusal of the store to answer at all. */
  retryShare: 0.05,
  /** A contender looks: what it has seen early it need not wait for later. */
  pollShare: 0.1,
  wantedPollShare: 0.025,
  /** A process that did nothing for so long was stopped. */
  stillShare: 0.5,
  /** stop() waits so long for the store to hear that the lease is free, ms. */
  farewellMs: 500,
} as const

/** Strategy broadcast. PROTOCOL 19. */
export const BROADCAST = {
  /** A clock that is surely further ahead than this is refused (CLOCK_SKEW). */
  skewMs: 2_000,
  /** Stamps of a node that writes more than its clock has stamps for may run ahead so far; then
   *  BUSY. Half of what others refuse. */
  aheadMsMax: 1_000,
  /** Records are compared with those of one member so often. */
  compareEveryMs: 10_000,
  /** A round that made no progress for so long is given up. */
  roundMs: 5_000,
  /** A gap is pulled, and pulled again, after it: what is on its way may still come by itself. */
  pullAfterMs: 100,
  pullAgainMs: 500,
  /** On link-up records are compared this much later: what logs still hold comes by itself. */
  pullFirstMs: 1_000,
  /** Entries that one pull brings: an answer asks for more. */
  pullBytes: 256 * 1_024,
  /** What ended a record is remembered so long for members that have not met it. */
  endsKeptMs: 24 * 3_600_000,
  /** Who is not the first to evict waits for the evictions of who is. */
  evictWaitMs: 300,
  /** What was measured of another clock counts for so long. */
  measuredMs: 1_000,
  /** A clock that was set is judged once what was said of it before can count no longer. */
  sureAfterMs: 8_000,
  /** An alarm is repeated so often. */
  alarmEveryMs: 10_000,
} as const

/** What a cache that no configuration names gets. */
export const CACHE_DEFAULTS = {
  maxEntries: 1_000_000,
  maxBytes: 2 ** 30,
  ttlMs: 0,
  idleMs: 0,
  eviction: 'lru',
} as const
