"""Command lines are read as podman reads them."""

from __future__ import annotations

import pytest

from libpod_cli.parser import HelpWanted, Parser, UsageError, parse


@pytest.fixture
def parser() -> Parser:
    made = Parser("libpod test", "[options] NAME", "A test")
    made.switch("-i", "--interactive", help="a switch")
    made.switch("-t", "--tty", help="a switch")
    made.switch("--sig-proxy", default=True, help="a switch that is on")
    made.text("-n", "--name", help="a text")
    made.number("--tail", default=-1, help="a number")
    made.decimal("--cpus", help="a fraction")
    made.array("-e", "--env", help="an array")
    made.words("--cap-add", help="words")
    made.text("--network", "--net", help="a flag with two long names")
    return made


def test_short_switches_stand_together_and_a_value_may_follow(parser: Parser) -> None:
    values = parse(parser, ["-itn", "web"])
    assert (values.interactive, values.tty, values.name) == (True, True, "web")


@pytest.mark.parametrize("words", [["-nweb"], ["-n=web"], ["-n", "web"], ["--name=web"], ["--name", "web"]])
def test_a_value_may_be_glued_to_its_flag_or_follow_it(parser: Parser, words: list[str]) -> None:
    assert parse(parser, words).name == "web"


def test_a_switch_is_taken_back_by_false(parser: Parser) -> None:
    assert parse(parser, []).sig_proxy is True
    assert parse(parser, ["--sig-proxy=false"]).sig_proxy is False
    assert parse(parser, ["--interactive", "--interactive=false"]).interactive is False


def test_a_switch_does_not_eat_the_argument_after_it(parser: Parser) -> None:
    values = parse(parser, ["--tty", "image"])
    assert values.arguments == ["image"]


def test_a_value_may_begin_with_a_dash(parser: Parser) -> None:
    values = parse(parser, ["--name", "--odd", "-e", "-x", "--tail", "-5"])
    assert (values.name, values.env, values.tail) == ("--odd", ["-x"], -5)


def test_the_first_argument_ends_the_flags_of_a_verb_that_takes_a_command(parser: Parser) -> None:
    values = parse(parser, ["-i", "image", "ls", "-t", "--", "--name"], interspersed=False)
    assert values.arguments == ["image", "ls", "-t", "--", "--name"]
    assert not values.tty


def test_flags_may_stand_behind_arguments_elsewhere(parser: Parser) -> None:
    values = parse(parser, ["one", "-i", "two", "--", "-t"])
    assert values.arguments == ["one", "two", "-t"]
    assert values.interactive


def test_two_dashes_end_the_flags(parser: Parser) -> None:
    assert parse(parser, ["--", "-i", "image"], interspersed=False).arguments == ["-i", "image"]


def test_a_lone_dash_is_an_argument(parser: Parser) -> None:
    assert parse(parser, ["-"]).arguments == ["-"]


def test_words_are_split_at_commas_and_arrays_are_not(parser: Parser) -> None:
    values = parse(parser, ["--cap-add", "A,B", "--cap-add=C", "-e", "X=1,2", "-e", "Y=3"])
    assert values.cap_add == ["A", "B", "C"]
    assert values.env == ["X=1,2", "Y=3"]


def test_lists_of_one_line_do_not_grow_into_the_next(parser: Parser) -> None:
    parse(parser, ["-e", "A=1", "--cap-add", "X"])
    values = parse(parser, [])
    assert (values.env, values.cap_add) == ([], [])


def test_every_name_of_a_flag_fills_the_same_value(parser: Parser) -> None:
    assert parse(parser, ["--net", "none"]).network == "none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nosuch"], "unknown flag: --nosuch"),
        (["-x"], "unknown flag: -x"),
        (["--name"], "flag needs an argument: --name"),
        (["--tail", "many"], "whole number"),
        (["--cpus", "x"], "--cpus"),
        (["--tty=perhaps"], "boolean"),
    ],
)
def test_what_makes_no_sense_is_named(parser: Parser, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(parser, words)


def test_the_number_of_arguments_is_checked(parser: Parser) -> None:
    with pytest.raises(UsageError, match="at least 1 argument"):
        parse(parser, [], least=1)
    with pytest.raises(UsageError, match="at most 1 argument"):
        parse(parser, ["a", "b"], most=1)
    with pytest.raises(UsageError, match="no arguments"):
        parse(parser, ["a"], most=0)


def test_help_lists_every_flag(parser: Parser) -> None:
    with pytest.raises(HelpWanted) as caught:
        parse(parser, ["--help"])
    for flag in ("--interactive", "--sig-proxy", "--cap-add", "-n"):
        assert flag in caught.value.text
