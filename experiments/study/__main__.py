"""Learns hyper-parameters, for the random sequences of the script or for the user's own pairs.

    python -m experiments.study
    python -m experiments.study --data alphabet.tsv --trials 50 --workers 2

Searches with Optuna what trains a model best, in processes of its own. Then trains the best trials and the script's
settings on fresh seeds. Prints the result, and saves the best settings as studies/NAME.json, which
`seq2seq_copy.py --settings` reads, and three pictures beside it. Called again, it goes on where it stopped.
"""

import functools
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from support.terminal.settings import SettingsError

from experiments.study import pictures, results, space, storage, workers
from experiments.study.request import read_request, task
from experiments.study.workers import Stage
from support.run import files, folder
from support.terminal import process

FOLDER = Path("studies")
DETAILS = ("data", "until", "samples", "plot", "batches_in_epoch")  # may differ from call to call


def main():
    """Carries out the command line; returns the exit status."""
    workers.quiet()
    request = read_request()
    try:
        files.check_writable(FOLDER / f"{request.study}.json")
        store = storage.open_storage(request.storage)
        search = Stage(request.study, request.seeds, request.trials)
        finals = Stage(f"{request.study}-finals-{len(request.fresh_seeds)}", request.fresh_seeds, None)
        studies = [workers.open_stage(stage, store) for stage in (search, finals)]
        check_same(studies[0], request)
    except (SettingsError, OSError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    run = functools.partial(workers.run, request.storage, task=functools.partial(task, sys.argv[1:]))
    results.enqueue(studies[0], [results.script_params(request)])
    ended_by = run(search, workers=request.workers)
    if ended_by is None and request.fresh_seeds:
        finalists = [trial.params for trial in results.complete(studies[0])[: results.FINALISTS]]
        results.enqueue(studies[1], [*finalists, results.script_params(request)])
        ended_by = run(finals, workers=request.workers)
    print(results.text(request, *studies))
    if results.best(*studies) is not None:
        save(request, *studies)
    return 0 if ended_by is None else ended_by


def check_same(study, request):
    """Raises SettingsError if a study was begun with something else than what is asked for now."""
    searched = {space.field_of(name) for name in request.names}
    config = {name: value for name, value in asdict(request.config).items() if name not in searched.union(DETAILS)}
    if "batch_size" in searched:
        config["sequences"] = request.config.batch_size * config.pop("max_batches")
    asked = json.loads(json.dumps(config | {"searched": request.names, "seeds": len(request.seeds)}, default=str))
    begun = study.user_attrs.get("settings", asked)
    different = [name for name in asked if asked[name] != begun.get(name)]
    if different:
        name = different[0]
        raise SettingsError(
            f"--study: {study.study_name!r} was begun with {name} {begun.get(name)}, not {asked[name]}; "
            "give another name"
        )
    study.set_user_attr("settings", asked)


def save(request, search, finals):
    """Saves the best settings and the pictures."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{request.study}.json"
    folder.write_json(path, results.learned(results.best(search, finals), request))
    pictures.save_all(search, FOLDER / request.study)
    data = f"--data {shlex.quote(str(request.config.data))} " if request.config.data else ""
    print(f"\nsettings in {path}, pictures beside it; use them: python seq2seq_copy.py {data}--settings {path}")


if __name__ == "__main__":
    process.run(main)
