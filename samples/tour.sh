#!/usr/bin/env bash
# A tour of aecodec in a minute: compresses, looks, decodes, checks, mends, works on folders.
#
#   bash samples/tour.sh            in a temporary folder, which is removed at the end
#   bash samples/tour.sh FOLDER     in FOLDER, so that you can look at the results
set -euo pipefail

samples=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 0 ]; then
    mkdir -p "$1" && cd "$1"
else
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
    cd "$place"
fi

step() { printf '\n# %s\n' "$1"; }
run() { printf '$ %s\n' "$*"; "$@"; }

step "A picture becomes a file of a tenth of its size, and a picture again."
run aecodec compress "$samples/chelsea.png" -o cat.aec -f
run aecodec info cat.aec
run aecodec decompress cat.aec -o cat.png -f

step "You may ask for a size or a fidelity in place of a quality."
run aecodec compress "$samples/coffee.png" --size 20KB -o coffee.aec -f
run aecodec compress "$samples/coffee.png" --psnr 32 -o coffee-32dB.aec -f

step "Every pixel may be kept, or each sample within a bound; the lossy part alone is in there."
run aecodec compress "$samples/chelsea.png" --lossless --checksum -o exact.aec -f
run aecodec decompress exact.aec -o exact.png -f
run aecodec decompress exact.aec --lossy -o preview.jpg -f

step "A part or a small version is decoded from the same file."
run aecodec decompress cat.aec --region 100,50,200,150 -o eye.png -f
run aecodec decompress cat.aec --scale 1/4 -o small.png -f

step "A file that was cut off is not lost."
head -c 9000 cat.aec > cut.aec
run aecodec verify cut.aec || echo "(verify says so, and exits with 1)"
run aecodec repair cut.aec -o mended.aec -f
run aecodec verify cat.aec exact.aec mended.aec

step "Folders are mirrored, and what is done is not done again."
mkdir -p photos/space
cp "$samples/coffee.png" photos
cp "$samples/rocket.png" photos/space
run aecodec compress -r photos -o packed -j 2 --resume
run aecodec compress -r photos -o packed -j 2 --resume
run aecodec decompress -r packed -o unpacked --format jpg --resume

step "The same in Python."
cat > tour.py <<'PYTHON'
import aecodec

with aecodec.Codec() as codec:
    data = codec.compress("cat.png", quality=60)
    pixels = codec.decompress_array(data)
    data_32dB, found = codec.compress_to(pixels, aecodec.Target("psnr", 32))
print(aecodec.read_info(data).quality, pixels.shape, len(data), found.met)
PYTHON
run python tour.py
