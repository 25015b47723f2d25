"""Completion for shells, made from the command line's parser, so that it knows what there is."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

# What a metavar stands for, where the shell can help.
_FILES = ("FILE", "MAILLOG")
_FOLDERS = ("DIR",)


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its spellings, what it is for, and the metavar of its value, if it takes one."""

    flags: tuple[str, ...]
    help: str
    metavar: str | None


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: its options, and what its arguments are: a metavar and perhaps choices."""

    name: str
    help: str
    options: tuple[Option, ...]
    metavar: str | None
    choices: tuple[str, ...]


def commands(parser: argparse.ArgumentParser) -> tuple[tuple[Option, ...], tuple[Command, ...]]:
    """The options before the command, and all commands."""
    found: list[Command] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            found += [
                _command(name, helps.get(name, ""), each) for name, each in action.choices.items()
            ]
    return _options(parser), tuple(found)


def _options(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    return tuple(
        Option(
            tuple(action.option_strings),
            action.help or "",
            None if action.nargs == 0 else str(action.metavar or action.dest.upper()),
        )
        for action in parser._actions
        if action.option_strings
    )


def _command(name: str, help_: str, parser: argparse.ArgumentParser) -> Command:
    arguments = [action for action in parser._actions if not action.option_strings]
    first = arguments[0] if arguments else None
    metavar = None if first is None else str(first.metavar)
    choices = () if first is None or first.choices is None else tuple(map(str, first.choices))
    return Command(name, help_, _options(parser), metavar, choices)


def bash(parser: argparse.ArgumentParser) -> str:
    """A completion script for bash; it needs no helper functions."""
    top, found = commands(parser)
    program = parser.prog
    function = "_" + program.replace("-", "_")
    names = [command.name for command in found]
    lines = [
        f"# Completion of {program} for bash, made by `{program} print-completion bash`.",
        f"{function}() {{",
        "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
        "    local command= word",
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f"        case $word in {'|'.join(names)}) command=$word; break ;; esac",
        "    done",
        "    COMPREPLY=()",
        "    case $command in",
        f"    '') {_reply(_flags(top) + names)} ;;",
    ]
    for command in found:
        lines += [f"    {command.name})", *_values(command.options)]
        words = _flags(command.options)
        lines += [
            "        case $current in",
            f"        -*) {_reply(words)} ;;",
            f"        *) {_arguments(command)} ;;",
            "        esac ;;",
        ]
    lines += ["    esac", "}", f"complete -F {function} {program}"]
    return "\n".join(lines)


def _values(options: tuple[Option, ...]) -> list[str]:
    """What completes an option's value."""
    taking = [option for option in options if option.metavar is not None]
    if not taking:
        return []
    cases = (
        f"        {'|'.join(option.flags)}) {_by_metavar(option.metavar)}; return ;;"
        for option in taking
    )
    return ["        case $before in", *cases, "        esac"]


def _by_metavar(metavar: str | None) -> str:
    if metavar in _FILES:
        return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current")'
    if metavar in _FOLDERS:
        return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current")'
    return ":"


def _arguments(command: Command) -> str:
    return _reply(list(command.choices)) if command.choices else _by_metavar(command.metavar)


def _reply(words: list[str]) -> str:
    return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(words)}" -- "$current")'


def _flags(options: tuple[Option, ...]) -> list[str]:
    return [flag for option in options for flag in option.flags]


def zsh(parser: argparse.ArgumentParser) -> str:
    """A completion function for zsh, for a file `_smmapd-gateway` in its fpath."""
    top, found = commands(parser)
    program = parser.prog
    lines = [
        f"#compdef {program}",
        f"# Completion of {program} for zsh, made by `{program} print-completion zsh`.",
        "local curcontext=$curcontext state line",
        "_arguments -C \\",
        *(f"    {spec} \\" for option in top for spec in _zsh_specs(option)),
        "    '1:command:->command' \\",
        "    '*::argument:->argument'",
        "case $state in",
        "command)",
        "    local -a names=(",
        *(f"        {_quote(f'{each.name}:{each.help}')}" for each in found),
        "    )",
        "    _describe command names ;;",
        "argument)",
        "    case $line[1] in",
    ]
    for command in found:
        specs = [spec for option in command.options for spec in _zsh_specs(option)]
        specs += [_quote(f"*:{command.metavar}:{_zsh_action(command)}")] if command.metavar else []
        lines.append(f"    {command.name}) _arguments {' '.join(specs)} ;;")
    return "\n".join([*lines, "    esac ;;", "esac"])


def _zsh_specs(option: Option) -> list[str]:
    text = option.help.replace("[", "(").replace("]", ")").replace(":", ";")
    found = []
    for flag in option.flags:
        spec = f"{flag}[{text}]"
        if option.metavar is not None:
            spec += f":{option.metavar}:{_zsh_value(option.metavar)}"
        found.append(_quote(spec))
    return found


def _zsh_value(metavar: str) -> str:
    if metavar in _FILES:
        return "_files"
    return "_files -/" if metavar in _FOLDERS else ""


def _zsh_action(command: Command) -> str:
    if command.choices:
        return f"({' '.join(command.choices)})"
    return _zsh_value(command.metavar or "")


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
