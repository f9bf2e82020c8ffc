// Orders versions as npm's `semver` does: loosely, or with the argument `strict` strictly.
//
// Reads two texts a line, in hexadecimal UTF-8 with a space between them; answers each line with <, =, > or !, which
// says that one of them is no version.
'use strict'

const semver = require('semver')

const loose = process.argv[2] !== 'strict'
const lines = require('node:fs').readFileSync(0, 'ascii').split('\n').slice(0, -1)
const answers = lines.map((line) => {
  const [a, b] = line.split(' ').map((text) => semver.parse(Buffer.from(text, 'hex').toString('utf8'), { loose }))
  return a && b ? '<=>'[a.compare(b) + 1] : '!'
})
process.stdout.write(answers.map((answer) => answer + '\n').join(''))
