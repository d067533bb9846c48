// Package cases keeps recordings of pulls. A case is a text file, a txtar archive with the extension .case:
// what the pull found, each request with its answer, and what it came to. Make makes one of a tape,
// without secrets; Read reads it; Check plays it and says what comes out otherwise.
//
// Masking changes bytes, and what a script makes of them. So Make plays the masked tape once: the requests,
// events and checkpoint of a case are those of the masked answers, and a case that was written plays to the
// same, bit for bit.
package cases
