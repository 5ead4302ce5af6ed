// SPDX-License-Identifier: Apache-2.0

// verify-ledger checks an exported ledger with the transparency-log packages of the Go project, which
// share no line with Gemel: every entry, every hash of every tile, the signed root, proofs of inclusion
// and of consistency. It names the first thing that is wrong and exits with 1.
//
// A folder is as `gemel ledger export` writes it: checkpoint, vkey, tile/L/N[.p/W], tile/entries/N[.p/W]
// (c2sp.org/tlog-tiles).
//
//	verify-ledger [-witness VKEY]... [-quorum N] [-vkey VKEY] FOLDER
//
// Without -vkey the key is the folder's own, which shows that it is whole, not whose it is.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height    = 8
	width     = 1 << height
	hashSize  = tlog.HashSize
	mostProof = 1000
)

// cosigner verifies Ed25519 cosignatures (c2sp.org/tlog-cosignature), which x/mod does not know.
type cosigner struct {
	name   string
	hash   uint32
	public ed25519.PublicKey
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	header := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
	return ed25519.Verify(c.public, append([]byte(header), msg...), sig[8:])
}

func newCosigner(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(strings.TrimSpace(vkey), "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("witness key %q: must be NAME+ID+BASE64", vkey)
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return nil, fmt.Errorf("witness key %q: not an Ed25519 cosigner's", vkey)
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	c := &cosigner{parts[0], binary.BigEndian.Uint32(sum[:]), key[1:]}
	if fmt.Sprintf("%08x", c.hash) != parts[1] {
		return nil, fmt.Errorf("witness key %q: its id does not fit", vkey)
	}
	return c, nil
}

type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// ledger is one exported folder under verification.
type ledger struct {
	folder string
	tree   tlog.Tree
	origin string
	stored []tlog.Hash // by tlog.StoredHashIndex, recomputed from the entries
}

// ReadHashes gives what was recomputed, never what a tile says.
func (l *ledger) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(l.stored)) {
			return nil, fmt.Errorf("hash %d is not there", x)
		}
		out[i] = l.stored[x]
	}
	return out, nil
}

// tilePath writes a tile's path in tlog-tiles' form; level -1 is the entries.
func tilePath(level int, n int64, w int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	kind := "entries"
	if level >= 0 {
		kind = strconv.Itoa(level)
	}
	path = "tile/" + kind + "/" + path
	if w < width {
		path += ".p/" + strconv.Itoa(w)
	}
	return path
}

func (l *ledger) read(path string) ([]byte, error) {
	return os.ReadFile(filepath.Join(l.folder, filepath.FromSlash(path)))
}

// tiles calls each for the tiles of a level of `count` hashes.
func tiles(level int, count int64, each func(n int64, w int) error) error {
	for n := int64(0); n*width < count; n++ {
		w := count - n*width
		if w > width {
			w = width
		}
		if err := each(n, int(w)); err != nil {
			return err
		}
	}
	return nil
}

// head opens the signed checkpoint.
func (l *ledger) head(vkey string, witnesses []string, quorum int) error {
	if vkey == "" {
		data, err := l.read("vkey")
		if err != nil {
			return err
		}
		vkey = strings.TrimSpace(string(data))
	}
	log, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("vkey: %w", err)
	}
	known := []note.Verifier{log}
	for _, w := range witnesses {
		v, err := newCosigner(w)
		if err != nil {
			return err
		}
		known = append(known, v)
	}
	signed, err := l.read("checkpoint")
	if err != nil {
		return err
	}
	opened, err := note.Open(signed, note.VerifierList(known...))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	byLog, cosigned := false, map[string]bool{}
	for _, s := range opened.Sigs {
		if s.Name == log.Name() && s.Hash == log.KeyHash() {
			byLog = true
		} else {
			cosigned[fmt.Sprintf("%s+%08x", s.Name, s.Hash)] = true
		}
	}
	if !byLog {
		return fmt.Errorf("checkpoint: %s did not sign it", log.Name())
	}
	if len(cosigned) < quorum {
		return fmt.Errorf("checkpoint: %d of the %d required witnesses cosigned it", len(cosigned), quorum)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return fmt.Errorf("checkpoint: %d lines instead of 3", len(lines)-1)
	}
	l.origin = lines[0]
	if l.origin != log.Name() {
		return fmt.Errorf("checkpoint: origin %q is not the key's name %q", l.origin, log.Name())
	}
	l.tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || l.tree.N < 0 || strconv.FormatInt(l.tree.N, 10) != lines[1] {
		return fmt.Errorf("checkpoint: size %q", lines[1])
	}
	l.tree.Hash, err = tlog.ParseHash(lines[2])
	if err != nil {
		return fmt.Errorf("checkpoint: root %q: %w", lines[2], err)
	}
	return nil
}

// entries recomputes every hash of the tree from the entry bundles.
func (l *ledger) entries() error {
	return tiles(-1, l.tree.N, func(n int64, w int) error {
		path := tilePath(-1, n, w)
		data, err := l.read(path)
		if err != nil {
			return err
		}
		for i := 0; i < w; i++ {
			index := n*width + int64(i)
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return fmt.Errorf("%s: entry %d is cut short", path, index)
			}
			size := int(binary.BigEndian.Uint16(data))
			entry := data[2 : 2+size]
			data = data[2+size:]
			more, err := tlog.StoredHashesForRecordHash(index, tlog.RecordHash(entry), l)
			if err != nil {
				return fmt.Errorf("%s: entry %d: %w", path, index, err)
			}
			l.stored = append(l.stored, more...)
		}
		if len(data) > 0 {
			return fmt.Errorf("%s: %d bytes too many", path, len(data))
		}
		return nil
	})
}

// expected is what a hash tile must hold.
func (l *ledger) expected(level int, n int64, w int) ([]byte, error) {
	return tlog.ReadTileData(tlog.Tile{H: height, L: level, N: n, W: w}, l)
}

func (l *ledger) hashTiles() (int, error) {
	files := 0
	for level, count := 0, l.tree.N; count > 0; level, count = level+1, count>>height {
		err := tiles(level, count, func(n int64, w int) error {
			path := tilePath(level, n, w)
			is, err := l.read(path)
			if err != nil {
				return err
			}
			want, err := l.expected(level, n, w)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			files++
			return compare(path, is, want)
		})
		if err != nil {
			return files, err
		}
	}
	return files, nil
}

func compare(path string, is, want []byte) error {
	if len(is) != len(want) {
		return fmt.Errorf("%s: %d bytes instead of %d", path, len(is), len(want))
	}
	for i := 0; i < len(is); i += hashSize {
		if !bytes.Equal(is[i:i+hashSize], want[i:i+hashSize]) {
			return fmt.Errorf("%s: hash %d is not that of the entries", path, i/hashSize)
		}
	}
	return nil
}

func (l *ledger) root() error {
	if l.tree.N == 0 {
		if l.tree.Hash != tlog.Hash(sha256.Sum256(nil)) {
			return errors.New("checkpoint: the root is not that of an empty tree")
		}
		return nil
	}
	hash, err := tlog.TreeHash(l.tree.N, l)
	if err != nil {
		return err
	}
	if hash != l.tree.Hash {
		return fmt.Errorf("root: the entries lead to %v, the checkpoint says %v", hash, l.tree.Hash)
	}
	return nil
}

// exported serves the folder's tiles to x/mod's own tile client, which authenticates them.
type exported struct{ *ledger }

func (e exported) Height() int                     { return height }
func (e exported) SaveTiles([]tlog.Tile, [][]byte) {}
func (e exported) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, t := range want {
		data, err := e.read(tilePath(t.L, t.N, t.W))
		if err != nil {
			return nil, err
		}
		out[i] = data
	}
	return out, nil
}

func (l *ledger) proofs() (int, error) {
	if l.tree.N == 0 {
		return 0, nil
	}
	reader := tlog.TileHashReader(l.tree, exported{l})
	step, proved := (l.tree.N+mostProof-1)/mostProof, 0
	for i := int64(0); i < l.tree.N; i += step {
		proof, err := tlog.ProveRecord(l.tree.N, i, reader)
		if err != nil {
			return proved, fmt.Errorf("inclusion of entry %d: %w", i, err)
		}
		leaf := l.stored[tlog.StoredHashIndex(0, i)]
		if err := tlog.CheckRecord(proof, l.tree.N, l.tree.Hash, i, leaf); err != nil {
			return proved, fmt.Errorf("inclusion of entry %d: %w", i, err)
		}
		proved++
	}
	half := l.tree.N / 2
	if half == 0 {
		return proved, nil
	}
	old, err := tlog.TreeHash(half, l)
	if err != nil {
		return proved, err
	}
	proof, err := tlog.ProveTree(l.tree.N, half, reader)
	if err == nil {
		err = tlog.CheckTree(proof, l.tree.N, l.tree.Hash, half, old)
	}
	if err != nil {
		return proved, fmt.Errorf("consistency from %d to %d: %w", half, l.tree.N, err)
	}
	return proved, nil
}

var tileName = regexp.MustCompile(`^tile/(entries|[0-7])/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([0-9]{1,3}))?$`)

// leftOver checks a file that an earlier export left: a partial tile that has grown since.
func (l *ledger) leftOver(path string) error {
	m := tileName.FindStringSubmatch(path)
	if m == nil {
		return fmt.Errorf("%s: does not belong to a ledger", path)
	}
	n, err := strconv.ParseInt(strings.NewReplacer("x", "", "/", "").Replace(m[2])+m[3], 10, 64)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	level, w := -1, width
	if m[1] != "entries" {
		level, _ = strconv.Atoi(m[1])
	}
	if m[4] != "" {
		w, _ = strconv.Atoi(m[4])
	}
	count := l.tree.N
	if level > 0 {
		count >>= uint(height * level)
	}
	if tilePath(level, n, w) != path || w == 0 || n*width+int64(w) > count {
		return fmt.Errorf("%s: is not of a ledger of %d entries", path, l.tree.N)
	}
	is, err := l.read(path)
	if err != nil {
		return err
	}
	if level >= 0 {
		want, err := l.expected(level, n, w)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return compare(path, is, want)
	}
	now := count - n*width
	if now > width {
		now = width
	}
	whole, err := l.read(tilePath(-1, n, int(now)))
	if err != nil {
		return err
	}
	end := 0
	for i := 0; i < w; i++ {
		end += 2 + int(binary.BigEndian.Uint16(whole[end:]))
	}
	if !bytes.Equal(is, whole[:end]) {
		return fmt.Errorf("%s: is not the beginning of what it became", path)
	}
	return nil
}

func (l *ledger) noOther() error {
	return filepath.WalkDir(l.folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(l.folder, name)
		if err != nil {
			return err
		}
		path := filepath.ToSlash(rel)
		if d.IsDir() {
			if path == ".stage" { // a ledger's own folder, not an export
				return filepath.SkipDir
			}
			return nil
		}
		if path == "checkpoint" || path == "vkey" {
			return nil
		}
		return l.leftOver(path)
	})
}

func verify(l *ledger, vkey string, witnesses []string, quorum int) error {
	if err := l.head(vkey, witnesses, quorum); err != nil {
		return err
	}
	if err := l.entries(); err != nil {
		return err
	}
	files, err := l.hashTiles()
	if err != nil {
		return err
	}
	if err := l.root(); err != nil {
		return err
	}
	proved, err := l.proofs()
	if err != nil {
		return err
	}
	if err := l.noOther(); err != nil {
		return err
	}
	fmt.Printf("%s: %d entries, %d tiles, root %v, %d proofs of inclusion, consistent from %d\n", l.origin,
		l.tree.N, files, l.tree.Hash, proved, l.tree.N/2)
	return nil
}

func main() {
	var witnesses list
	flag.Var(&witnesses, "witness", "verifier key of a witness that may cosign; may be repeated")
	quorum := flag.Int("quorum", 0, "how many of them must have cosigned")
	vkey := flag.String("vkey", "", "verifier key of the ledger; default: the folder's")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: verify-ledger [-witness VKEY]... [-quorum N] [-vkey VKEY] FOLDER")
		os.Exit(2)
	}
	l := &ledger{folder: flag.Arg(0)}
	if err := verify(l, *vkey, witnesses, *quorum); err != nil {
		fmt.Fprintln(os.Stderr, "verify-ledger:", err)
		os.Exit(1)
	}
}
