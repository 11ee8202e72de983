"""Examples of each command, which `--help` and the manual page show."""

EXAMPLES = {
    "compress": (
        ("make cat.aec beside it, at quality 75", "aecodec compress cat.png"),
        (
            "many pictures into an existing folder, four at a time",
            "aecodec compress *.jpg -o small/ -j 4",
        ),
        ("reach a size instead of a quality", "aecodec compress --size 120KB cat.png"),
        ("keep every pixel exactly", "aecodec compress --lossless cat.png -o exact.aec"),
        ("work in a pipe", "aecodec compress - < cat.png > cat.aec"),
    ),
    "decompress": (
        ("make cat.png beside it", "aecodec decompress cat.aec"),
        ("write another format, by its extension", "aecodec decompress cat.aec -o cat.jpg"),
        ("decode only a part", "aecodec decompress cat.aec --region 100,50,200,150 -o part.png"),
        ("decode a smaller picture", "aecodec decompress cat.aec --scale 1/4 -o preview.png"),
    ),
    "compare": (
        ("measure how far cat.aec is from its original", "aecodec compare cat.png cat.aec"),
        ("show where they differ", "aecodec compare cat.png cat.aec -o differences.png"),
    ),
    "denoise": (
        ("take noise out, whatever its level", "aecodec denoise dark.png -o clean.png"),
        (
            "the same to an .aec file, where noise costs no bits",
            "aecodec denoise dark.png -o dark.aec",
        ),
    ),
    "info": (
        ("show what is in a file", "aecodec info cat.aec"),
        ("tell another program", "aecodec info --json *.aec"),
    ),
    "verify": (("check whole files", "aecodec verify *.aec"),),
    "repair": (("save what is left of a file", "aecodec repair broken.aec -o whole.aec"),),
    "view": (
        ("see a picture at any quality, in the browser", "aecodec view cat.png"),
        ("compare an original with its file", "aecodec view cat.png cat.aec"),
        ("write that page for a web server", "aecodec view --export public/cat cat.png cat.aec"),
    ),
    "train": (("begin a run, or go on with it", "aecodec train photos/ -o runs/mine"),),
    "export": (("make weights for --model", "aecodec export runs/mine -o mine.safetensors"),),
    "bench": (("compare with other codecs", "aecodec bench photos/ -o report/"),),
    "completion": (
        ("complete in bash, from ~/.bashrc on", 'eval "$(aecodec completion bash)"'),
        ("complete in zsh, from ~/.zshrc on", 'eval "$(aecodec completion zsh)"'),
        (
            "complete in fish, from now on",
            "aecodec completion fish > ~/.config/fish/completions/aecodec.fish",
        ),
    ),
    "man": (("read this page", "aecodec man > aecodec.1 && man ./aecodec.1"),),
    "desktop": (
        ("install file type, thumbnails and manual page", "aecodec desktop install"),
        ("take them away", "aecodec desktop uninstall"),
    ),
}
"""What each is for, and the command."""


def epilog_of(command: str) -> str:
    """The examples of a command, as click shows them below its options; empty without any."""
    if command not in EXAMPLES:
        return ""
    lines = [f"  {line}\n      {what}" for what, line in EXAMPLES[command]]
    return "\b\nExamples:\n" + "\n".join(lines)
