"""Wrong lines that a test must catch: each is put into a copy of the tree, where the tests named beside it must fail.

    python -m tests.mutations            all of them
    python -m tests.mutations NAME ...   some

Exits with 1 where a mutation survives, where its old text is not found exactly once, or where a test fails without it.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".headwater", ".*_cache", "__pycache__")

TRAINER = "training/vertical/trainer.py"
DISTILLED = "tests/training/vertical/test_distillation.py"
LOGGED_ROWS = "tests/training/vertical/test_logged_rows.py::test_rebuilt_rows_are_the_served_ones"
FIRST_LOOK = "tests/own_log/test_check_source.py"
SAMPLERS = "tests/search/samplers/test_samplers.py"
BAYESIAN = "tests/search/samplers/test_bayesian.py"
LATENT = "tests/search/latent"
LOOKAHEAD = "tests/search/bayes/test_lookahead.py"
STUDY = "benchmarks/studies/transfer_study"
STUDY_RUN = "tests/benchmarks/studies/test_transfer_study_run.py"
STUDY_RESULTS = "tests/benchmarks/studies/test_transfer_study_results.py"


class Mutation(NamedTuple):
    """A line, what it becomes, and the tests of which one must then fail."""

    name: str
    file: str
    old: str  # occurs once in the file
    new: str
    tests: str  # as pytest takes them, divided by spaces


MUTATIONS = [
    Mutation(
        "the FLOPs of a trial that broke off do not count",
        "search/study.py",
        "3 * (record.rows or most) *",
        "3 * record.rows *",
        "tests/search/test_study.py",
    ),
    Mutation(
        "a truth value in Python's spelling is another category",
        "data/ids.py",
        '{"True": "true", "False": "false"}',
        '{"False": "false"}',
        "tests/data/test_ids.py",
    ),
    Mutation(
        "a time that no calendar has goes on",
        "data/raw/own_rows.py",
        "LAST_DAY = 90_000_000",
        "LAST_DAY = 900_000_000",
        "tests/own_log/test_time.py",
    ),
    Mutation(
        "short histories take the fused kernel where oneDNN multiplies",
        "models/layers/attention.py",
        "if onednn and key.shape[-2] < SHORT:",
        "if onednn and key.shape[-2] < 0:",
        "tests/models/layers/test_attention.py",
    ),
    Mutation(
        "attention reads what it may not",
        "models/layers/attention.py",
        """        with sdpa_kernel(SDPBackend.MATH):
            return scaled_dot_product_attention(query, key, value, attn_mask=allowed)""",
        """        with sdpa_kernel(SDPBackend.MATH):
            return scaled_dot_product_attention(query, key, value)""",
        "tests/models/layers/test_attention.py",
    ),
    Mutation(
        "scores that rank the wrong way round are praised",
        "benchmarks/studies/rank_agreement.py",
        "_interval(spearman(one, truth, rows) - spearman(other, truth, rows), 90)",
        "_interval(abs(spearman(one, truth, rows)) - abs(spearman(other, truth, rows)), 90)",
        "tests/benchmarks/studies/test_supernet_studies.py",
    ),
    Mutation(
        "two sources share the tables of a database",
        "storage/stores.py",
        """return f"{key.partition('_')[0]}_{config.data_source}\"""",
        """return key.partition('_')[0]""",
        "tests/storage/test_stores.py::test_a_database_is_named_with_driver_schema_and_password",
    ),
    Mutation(
        "a password of platform.yaml is taken as it stands",
        "config.py",
        "if parts.password and not SECRET.fullmatch(parts.password):",
        "if False:",
        "tests/storage/test_stores.py",
    ),
    Mutation(
        "a server's URL is told with its password",
        "storage/stores.py",
        'netloc=parts.netloc.rpartition("@")[2]',
        "netloc=parts.netloc",
        "tests/storage/test_stores.py",
    ),
    Mutation(
        "an overlay replaces a section as a whole",
        "config.py",
        "return tree | {key: _laid_over(tree.get(key), value) for key, value in otherwise.items()}",
        "return tree | otherwise",
        "tests/test_config.py",
    ),
    Mutation(
        "what a dead Spark task left is committed",
        "data/features/parquet_parts.py",
        "        unfinished.unlink()",
        "        pass",
        "tests/data/features/test_parquet_parts.py",
    ),
    Mutation(
        "a worker may do without the lake",
        "data/features/cluster.py",
        "    if blind:",
        "    if False:",
        "tests/data/features/test_cluster.py::test_one_worker_that_does_not_see_the_lake_is_enough",
    ),
    Mutation(
        "a part is put in place before it is whole",
        "data/features/parquet_parts.py",
        "pa.parquet.ParquetWriter(aside, schema",
        "pa.parquet.ParquetWriter(path, schema",
        "tests/data/features/test_parquet_parts.py",
    ),
    Mutation(
        "a sampler may ask again what was tried",
        "search/study.py",
        'reason = "it was tried" if key in tried else',
        'reason = "it was tried" if key in () else',
        "tests/search/test_study.py",
    ),
    Mutation(
        "a trial that kills its workers is tried for ever",
        "search/study.py",
        "if record.attempts < MOST_ATTEMPTS:",
        "if True:",
        "tests/search/test_study.py",
    ),
    Mutation(
        "a short search never asks its predictor",
        "search/samplers/predictor.py",
        "min(self.first, max(LEAST, total // SHARE))",
        "self.first",
        "tests/search/samplers/test_samplers.py",
    ),
    Mutation(
        "a block that reads the inputs again loses that as it moves up",
        "search/spaces/ranking.py",
        "        if place > 1 and again:",
        "        if False:",
        "tests/search/spaces/test_ranking.py",
    ),
    Mutation(
        "a search is compared with the platform's model of yesterday",
        "search/conclusion.py",
        'return {"model": self.model, "platform": self.platform, "seed": self.seed}',
        'return {"model": self.model, "platform": "", "seed": self.seed}',
        "tests/search/test_conclusion.py",
    ),
    Mutation(
        "a trial that was stopped has failed",
        "search/run_trial.py",
        "        study.give_back(claimed)",
        "        pass",
        "tests/jobs/test_search.py",
    ),
    Mutation(
        "a search begins with what was judged on the days of its end",
        "jobs/plan_search.py",
        "if known.newest >= settings.later_days[0]:",
        "if False:",
        "tests/jobs/test_search.py",
    ),
    Mutation(
        "the days that judge a finalist choose it",
        "search/conclusion.py",
        "key=lambda one: one.search_ne)",
        "key=lambda one: one.ne)",
        "tests/search/test_conclusion.py",
    ),
    Mutation(
        "a finalist is chosen by one seed",
        "search/conclusion.py",
        'float(np.mean(by_seed(model, "search_ne"))),',
        'float(by_seed(model, "search_ne")[0]),',
        "tests/search/test_conclusion.py",
    ),
    Mutation(
        "a finalist is chosen by days that judge it",
        "search/finals.py",
        "ne_while_learnt(judged.learnt[self._dates])",
        "ne_while_learnt(judged.learnt)",
        "tests/search/test_finals.py",
    ),
    Mutation(
        "a model wins a search though another seed might lose",
        "search/conclusion.py",
        "for of in (self.difference, self.over_seeds))",
        "for of in (self.difference,))",
        "tests/search/test_conclusion.py",
    ),
    Mutation(
        "trials learn the days that are kept for the end",
        "jobs/plan_search.py",
        "return done[:-later_days][-days:], done[-later_days:]",
        "return done[-days:], done[-later_days:]",
        "tests/jobs/test_search.py::test_no_trial_sees_the_later_days",
    ),
    Mutation(
        "an operation of a graph costs less than it does",
        "models/graphs/operations.py",
        "return 8 * n * e * e + 4 * n * n * e",
        "return 8 * n * e * e + 2 * n * n * e",
        "tests/models/architectures/test_graph.py",
    ),
    Mutation(
        "every day of an FM begins with a warm-up",
        "training/warm_up.py",
        "self.made = steps_made(self.adam)",
        "self.made = 0",
        "tests/training/test_warm_up.py",
    ),
    Mutation(
        "an average remembers the first weights for long",
        "training/weight_average.py",
        "kept = min(self.decay, (1 + self.made) / (10 + self.made))",
        "kept = self.decay",
        "tests/training/test_weight_average.py",
    ),
    Mutation(
        "an average that goes on after a stop counts its steps anew",
        "training/weight_average.py",
        "steps_made(self.optimizer) if self.made is None",
        "1 if self.made is None",
        "tests/training/test_weight_average.py",
    ),
    Mutation(
        "an average that was turned off scores for ever",
        "training/weight_average.py",
        "                state.pop(AVERAGE, None)",
        "                pass",
        "tests/training/test_weight_average.py",
    ),
    Mutation(
        "the weights that learn score, although there is an average",
        "training/foundation/trainer.py",
        """        with self.average.applied():
            for examples in track(""",
        """        if True:
            for examples in track(""",
        "tests/training/foundation/test_recipe.py",
    ),
    Mutation(
        "two averages of the same weights have one version",
        "training/foundation/sharded_checkpoint.py",
        "in averages(optimizer).items():",
        "in {}.items():",
        "tests/training/foundation/test_recipe.py",
    ),
    Mutation(
        "trials are judged by the weights that learn, not by what scores",
        "training/foundation/progressive_log.py",
        "    if trainer.average.decay:",
        "    if False:",
        "tests/training/foundation/test_progressive_log.py",
    ),
    Mutation(
        "a trial is made under settings that the others were not made under",
        "search/run_trial.py",
        "    if trainer.inherited != study.settings.inherited:",
        "    if False:",
        "tests/jobs/test_search.py::test_trials_that_could_not_be_compared_are_refused",
    ),
    Mutation(
        "a search ends where its models are trained on other machines",
        "search/foundation_trials.py",
        "fingerprint(of_any.without_placement, ",
        "fingerprint(of_any, ",
        "tests/jobs/test_search.py::test_trials_that_could_not_be_compared_are_refused",
    ),
    Mutation(
        "a vertical's model serves by the weights that learn",
        "training/vertical/student.py",
        "        trainer.end()\n",
        "",
        "tests/training/vertical/test_student.py",
    ),
    Mutation(
        "a vertical's model learns on from its average",
        "training/vertical/trainer.py",
        """        load_optimizers(folder, self.optimizers)
        for average in self.averages:
            average.exchange()""",
        "        load_optimizers(folder, self.optimizers)",
        "tests/training/vertical/test_distillation.py",
    ),
    Mutation(
        "tables do not warm up",
        "training/foundation/trainer.py",
        "self.model.fused_optimizer.step()  # hands the rate on",
        "pass  # hands the rate on",
        "tests/training/foundation/test_recipe.py",
    ),
    Mutation(
        "inputs that a block reads again stand where changed tokens stand",
        "search/supernet/slots.py",
        "places[name] = own[name] - first + self.again[n]",
        "places[name] = own[name]",
        "tests/search/supernet/test_supernet.py::test_a_mixture_of_one_model_is_that_model_and_costs_what_it_costs",
    ),
    Mutation(
        "absent tokens take part in a mixture's attention",
        "search/supernet/mixture.py",
        " + tokens.gate.clamp(min=ABSENT).log()",
        "",
        "tests/search/supernet/test_supernet.py::test_a_mixture_of_one_model_is_that_model_and_costs_what_it_costs",
    ),
    Mutation(
        "layers that are alike are pooled",
        "search/supernet/proxies.py",
        'layers.setdefault(name.rpartition(".")[0], [])',
        "layers.setdefault(str(tensor.shape), [])",
        "tests/search/supernet/test_proxies.py::test_two_layers_alike_count_twice",
    ),
    Mutation(
        "the model that days agree on breaks the cap",
        "search/supernet/dist_dnas.py",
        "        if options.space.refusal(params) is None:\n            return params",
        "        if True:\n            return params",
        "tests/search/supernet/test_searches.py::test_the_least_likely_operations_go_where_the_cap_refuses",
    ),
    Mutation(
        "a look takes the first rows of a file alone",
        "data/raw/sampling.py",
        "self.kept = self.kept[::2]",
        "self.kept = self.kept[:-1]",
        f"{FIRST_LOOK}::test_a_sample_spans_the_log",
    ),
    Mutation(
        "a row's line is that of the one before",
        "data/raw/csv_records.py",
        "self._first = lines.number - len(lines.taken) + 1",
        "self._first = lines.number - len(lines.taken)",
        f"{FIRST_LOOK}::test_bad_rows_are_told_with_file_and_line",
    ),
    Mutation(
        "what a request has in common is taken for the user's",
        "data/first_look/features.py",
        '.filter(pl.col("at") != pl.col("at_before"))',
        '.filter(pl.col("at_before").is_not_null())',
        f"{FIRST_LOOK}::test_what_a_whole_request_has_in_common_is_not_the_users",
    ),
    Mutation(
        "an undecided look exits as if it were ready",
        "jobs/__main__.py",
        "return 1 if (result or {}).get(jobs.UNDECIDED) else 0",
        "return 0",
        f"{FIRST_LOOK}::test_the_command_ends_with_its_code_and_plain_text",
    ),
    Mutation(
        "clicks are distilled in place of soft labels",
        TRAINER,
        "self.distillation(output, soft_labels)",
        "self.distillation(output, labels)",
        f"{DISTILLED}::test_what_is_distilled_are_the_teachers_probabilities_and_not_the_clicks",
    ),
    Mutation(
        "the soft label is never learnt",
        TRAINER,
        "click if self.distillation is None else click + self.distillation(output, soft_labels)",
        "click",
        f"{DISTILLED}::test_a_teacher_that_knows_more_improves_the_serving_head",
    ),
    Mutation(
        "the adapter's output is ignored",
        "models/distillation.py",
        "self.adapter(soft_labels).detach().sigmoid()",
        "soft_labels",
        f"{DISTILLED}::test_the_adapted_head_learns_the_corrected_soft_label",
    ),
    Mutation(
        "no gradient scale on the adapter's head",
        "models/distillation.py",
        "label_scale=1.0, gradient_scale=transfer.gradient_scale",
        "label_scale=1.0, gradient_scale=1.0",
        f"{DISTILLED}::test_the_gradient_scale_holds_for_each_head_of_training",
    ),
    Mutation(
        "no gradient scale on the auxiliary head",
        "models/distillation.py",
        "label_scale=transfer.label_scale, gradient_scale=transfer.gradient_scale",
        "label_scale=transfer.label_scale, gradient_scale=1.0",
        f"{DISTILLED}::test_the_gradient_scale_holds_for_each_head_of_training",
    ),
    Mutation(
        "gradients are not clipped",
        TRAINER,
        "torch.nn.utils.clip_grad_norm_(self.clipped, self.settings.gradient_clip_norm)",
        "pass",
        f"{DISTILLED}::test_gradients_of_the_dense_part_are_clipped_before_the_step",
    ),
    Mutation(
        "every vertical model has the same seed",
        "training/vertical/student.py",
        "torch.manual_seed(seed)",
        "torch.manual_seed(0)",
        "tests/training/vertical/test_student.py::test_the_seed_decides_the_weights",
    ),
    Mutation(
        "a vertical model has no seed",
        "training/vertical/student.py",
        "torch.manual_seed(seed)",
        "pass",
        "tests/training/vertical/test_student.py::test_the_seed_decides_the_weights",
    ),
    Mutation(
        "a last batch of one row is learnt",
        TRAINER,
        "if len(labels) > 1:",
        "if len(labels) > 0:",
        "tests/training/vertical/test_student.py::test_a_last_batch_of_one_row_is_left_out",
    ),
    Mutation(
        "every model of a progressive log has the same seed",
        "training/foundation/progressive_log.py",
        '"seed": seed,',
        '"seed": 0,',
        "tests/training/foundation/test_progressive_log.py::test_the_seed_decides_what_a_model_says",
    ),
    Mutation(
        "temporal and cross-feature are exchanged",
        "training/vertical/explanation.py",
        """past impressions, without the FM", "none", "raw"),
        part("cross-feature", "the FM's codes beside them", "raw", "both"),""",
        """past impressions, without the FM", "raw", "both"),
        part("cross-feature", "the FM's codes beside them", "none", "raw"),""",
        "tests/training/vertical/test_gain_identity.py tests/training/vertical/test_explanation.py",
    ),
    Mutation(
        "the explanation's residual has the other sign",
        "training/vertical/explanation.py",
        '"both", "loopfm"),',
        '"loopfm", "both"),',
        "tests/training/vertical/test_gain_identity.py",
    ),
    Mutation(
        "a study's history reaches an hour into the future",
        f"{STUDY}/execute.py",
        "log.impressions.micros[rows])",
        "log.impressions.micros[rows] + 3_600_000_000)",
        f"{STUDY_RUN}::test_a_history_is_the_users_newest_impressions_since_the_cut_and_before_the_row",
    ),
    Mutation(
        "a study's history knows no delay",
        f"{STUDY}/log.py",
        "delay_us=delay_us,",
        "delay_us=0,",
        f"{STUDY_RUN}::test_a_history_is_the_users_newest_impressions_since_the_cut_and_before_the_row",
    ),
    Mutation(
        "a study's item means are of the row's own day",
        f"{STUDY}/log.py",
        "[self.day_of[rows]]",
        "[self.day_of[rows] + 1]",
        f"{STUDY_RUN}::test_an_items_mean_code_is_that_of_its_impressions_until_yesterday",
    ),
    Mutation(
        "a study's window counts are those of the next midnight",
        f"{STUDY}/log.py",
        'strategy="backward"',
        'strategy="forward"',
        f"{STUDY_RUN}::test_nothing_that_a_run_reads_depends_on_what_comes_later",
    ),
    Mutation(
        "items' mean codes know no delay",
        "data/batches/impression_history.py",
        "delay_us=self.delay_us,\n        )\n\n    @property",
        "delay_us=0,\n        )\n\n    @property",
        f"{STUDY_RUN}::test_an_items_mean_code_is_that_of_its_impressions_until_yesterday",
    ),
    Mutation(
        "rebuilt histories are newer than the served ones",
        "training/vertical/logged_rows.py",
        "self.instants if fresh else self.snapshots",
        "self.instants",
        LOGGED_ROWS,
    ),
    Mutation(
        "rebuilt histories reach back without end",
        "training/vertical/logged_rows.py",
        "days=transfer.history_days",
        "days=99",
        LOGGED_ROWS,
    ),
    Mutation(
        "the study's FM scores another day than it should",
        f"{STUDY}/teacher.py",
        "scored = _score(config, day, log, trainer, today + age)",
        "scored = _score(config, day, log, trainer, today)",
        f"{STUDY_RUN}::test_a_soft_label_is_of_an_fm_that_learnt_as_many_days_as_its_age_says",
    ),
    Mutation(
        "the study's frozen FM learns the cut's day",
        f"{STUDY}/teacher.py",
        "if today == cut:",
        "if today == cut + 1:",
        f"{STUDY_RUN}::test_a_soft_label_is_of_an_fm_that_learnt_as_many_days_as_its_age_says",
    ),
    Mutation(
        "a study's run is judged a day early",
        f"{STUDY}/execute.py",
        "self.data_set.cut, self.data_set.test, len(self.log.days) - 1",
        "self.data_set.cut, self.data_set.test - 1, len(self.log.days) - 2",
        f"{STUDY_RUN}::test_a_run_learns_the_days_after_the_cut_and_is_judged_on_those_after_them",
    ),
    Mutation(
        "a study's run learns what it is judged on",
        f"{STUDY}/execute.py",
        "rows.part(slice(0, len(learn)))",
        "rows.part(slice(0, len(learn) + len(judge)))",
        f"{STUDY_RUN}::test_a_run_learns_the_days_after_the_cut_and_is_judged_on_those_after_them",
    ),
    Mutation(
        "distillation is tuned on the test days",
        f"{STUDY}/execute.py",
        "end, last = end - 1, end",
        "pass",
        f"{STUDY_RUN}::test_a_run_learns_the_days_after_the_cut_and_is_judged_on_those_after_them",
    ),
    Mutation(
        "a study's soft labels are fresh whatever their age",
        f"{STUDY}/execute.py",
        "return teachers.frozen if run.stale",
        'return teachers.aged[0] if run.stale != "frozen"',
        f"{STUDY_RUN}::test_a_run_learns_the_days_after_the_cut_and_is_judged_on_those_after_them",
    ),
    Mutation(
        "lean features keep the window counts",
        f"{STUDY}/execute.py",
        " if name not in counts]",
        "]",
        f"{STUDY_RUN}::test_a_leak_in_the_window_counts_shows_in_the_shipped_features_and_not_in_the_lean_ones",
    ),
    Mutation(
        "cold and warm are exchanged",
        f"{STUDY}/execute.py",
        '(("cold", cold), ("warm", ~cold))',
        '(("warm", cold), ("cold", ~cold))',
        f"{STUDY_RUN}::test_a_run_learns_the_days_after_the_cut_and_is_judged_on_those_after_them",
    ),
    Mutation(
        "the worst distillation is planned as the tuned one",
        f"{STUDY}/__main__.py",
        'key=lambda r: -r["ne"]',
        'key=lambda r: r["ne"]',
        f"{STUDY_RESULTS}::test_the_tuned_runs_are_planned_with_the_distillation_of_the_lowest_ne",
    ),
    Mutation(
        "the worst distillation is reported as the tuned one",
        f"{STUDY}/results.py",
        'key=lambda r: -r["ne"]',
        'key=lambda r: r["ne"]',
        f"{STUDY_RESULTS}::test_the_tuned_gain_is_that_of_the_distillation_of_the_lowest_ne",
    ),
    Mutation(
        "verticals are never weighed",
        f"{STUDY}/results.py",
        "_weight(one[v, s]) if weigh else 1.0",
        "1.0",
        f"{STUDY_RESULTS}::test_weighed_by_impressions_the_gain_is_that_of_the_verticals_as_one_log",
    ),
    Mutation(
        "figures by impressions are not weighed",
        f"{STUDY}/results.py",
        "_gain(results, weigh=True)",
        "_gain(results)",
        f"{STUDY_RESULTS}::test_figures_by_impressions_are_weighed",
    ),
    Mutation(
        "the study's residual has the other sign",
        f"{STUDY}/results.py",
        "_minus(both, loopfm)",
        "_minus(loopfm, both)",
        f"{STUDY_RESULTS}::test_the_parts_of_the_gain_are_differences_of_the_arms",
    ),
    Mutation(
        "the jackknife's interval is not Student's",
        f"{STUDY}/results.py",
        "half_width(error, n - 1)",
        "1.96 * error",
        f"{STUDY_RESULTS}::test_a_ratios_interval_is_the_jackknifes_with_students_t",
    ),
    Mutation(
        "the interval over seeds is not Student's",
        "quality/seed_intervals.py",
        "float(student_t.ppf((1 + LEVEL) / 2, degrees_of_freedom))",
        "1.96",
        "tests/quality/test_seed_intervals.py",
    ),
    Mutation(
        "the codes' likeness is not told to a vertical model",
        "models/vertical/network.py",
        "items.unflatten(0, (U, -1)) @ slots.mT",
        "0 * items.unflatten(0, (U, -1)) @ slots.mT",
        "tests/models/vertical/test_network.py",
    ),
    Mutation(
        "that the candidate item was seen before is not told",
        "models/vertical/network.py",
        "(history.ids[..., index].unsqueeze(1) == asked)",
        "(history.ids[..., index].unsqueeze(1) + 0 * asked < 0)",
        "tests/models/vertical/test_network.py",
    ),
    Mutation(
        "CLS rows have positions of their own",
        "models/architectures/interformer.py",
        "(steps - self.num_cls + 1).clamp(min=0)",
        "steps",
        "tests/models/architectures/test_interformer.py",
    ),
    Mutation(
        "an optimizer's state stays where it was loaded",
        "training/checkpoint.py",
        'optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})',
        "optimizer.state.update(zip((p for g in optimizer.param_groups for p in g['params']), states.values()))",
        "tests/training/test_checkpoint.py",
    ),
    Mutation(
        "yesterday's cut is computed with today's eval_fraction",
        "jobs/train_foundation.py",
        """"learn yesterday's rest", previous, learnt_until(config, "fm_snapshots", previous)""",
        """"learn yesterday's rest", previous, cut_day(config, previous)""",
        "tests/training/foundation/test_train_foundation.py::test_a_changed_eval_fraction_neither_loses_nor_doubles_rows",
    ),
    Mutation(
        "a checkpoint is of a number of processes",
        "jobs/train_foundation.py",
        "config.foundation_model.without_placement.model_dump()",
        "config.foundation_model.model_dump()",
        "tests/training/foundation/test_launcher.py::test_one_process_goes_on_where_two_were_and_two_where_one_was",
    ),
    Mutation(
        "a checkpoint is of an order of settings",
        "jobs/train_foundation.py",
        "default=str, sort_keys=True",
        "default=str",
        "tests/training/foundation/test_launcher.py::test_one_process_goes_on_where_two_were_and_two_where_one_was",
    ),
    Mutation(
        "what a restart cannot heal is tried again",
        "training/foundation/launcher.py",
        "self._remaining_restarts = 0",
        "pass",
        "tests/training/foundation/test_launcher.py::test_a_machine_without_the_lake_is_named_before_any_work_is_done",
    ),
    Mutation(
        "a machine may have a lake of its own",
        "training/foundation/same_lake.py",
        "if not shares:",
        "if False:",
        "tests/training/foundation/test_launcher.py::test_a_machine_without_the_lake_is_named_before_any_work_is_done",
    ),
    Mutation(
        "what a job reads is not recorded",
        "storage/partitions.py",
        """record(partition_path(table, day), manifest["content_hash"])""",
        "pass",
        "tests/storage/test_partitions.py",
    ),
    Mutation(
        "the version that a reader may still be at goes with the commit",
        "storage/partitions.py",
        """lake.remove(f"{place}/{before[PREVIOUS]}")""",
        """lake.remove(f"{place}/{before[VERSION]}")""",
        "tests/storage/test_partitions.py",
    ),
    Mutation(
        "the version before is taken for what a killed process left",
        "storage/partitions.py",
        "if name not in (manifest.get(VERSION), manifest.get(PREVIOUS)):",
        "if name != manifest.get(VERSION):",
        "tests/storage/test_partitions.py",
    ),
    Mutation(
        "a read that two commits overtake fails",
        "storage/partitions.py",
        """peek_manifest(config, table, day)[VERSION] == version:""",
        """version:""",
        "tests/storage/test_partitions.py",
    ),
    Mutation(
        "what another process writes is taken for a leftover",
        "storage/owners.py",
        """return not _alive(int(taken["pid"]))""",
        "return True",
        "tests/storage/test_owners.py",
    ),
    Mutation(
        "the files of a query that runs go with the next registration",
        "feature_repo/offline.py",
        "if folder.name < newest.name and folder.name not in kept:",
        "if folder.name < newest.name:",
        "tests/feature_repo/test_offline.py",
    ),
    Mutation(
        "Feast is given both versions of a day",
        "feature_repo/offline.py",
        "storage.parquet_files(config, table, day, manifest)",
        "storage.partition_dir(config, table, day).glob('*/' + PATTERN)",
        "tests/feature_repo/test_offline.py",
    ),
    Mutation(
        "a replaced partition of an earlier day outdates nothing",
        "reports/lineage.py",
        "if self.changed(source, content_hash) else",
        "if self.changed(source, content_hash) and source[-10:] == name[-10:] else",
        "tests/reports/test_lineage.py",
    ),
    Mutation(
        "a day is done whatever its tables have become since",
        "storage/status.py",
        "and whole and reported == contents(config, day, list(reported))",
        "and whole",
        "tests/storage/test_status.py tests/local/test_run.py",
    ),
    Mutation(
        "a candidate that is worse than the plain model goes live",
        "quality/gate.py",
        """return _compare(candidate < baseline, figure, "<", ">=", bound)""",
        """return _compare(candidate < baseline + 1, figure, "<", ">=", bound)""",
        "tests/quality/test_gate.py",
    ),
    Mutation(
        "a day that is run again is judged against a model that has learnt its rows",
        "jobs/promote_vertical.py",
        "champion = champion_before(run.client, name, day) if serving else None",
        "champion = serving",
        "tests/jobs/test_promote_vertical.py::test_a_champion_of_a_later_day_stays_and_what_it_predicts_is_not_kept",
    ),
    Mutation(
        "a run killed after the promotion is never logged",
        "jobs/promote_vertical.py",
        """        _track(run, verdict)
        _tag_versions(run.client, name, contenders, verdict)""",
        """            _track(run, verdict)
            _tag_versions(run.client, name, contenders, verdict)""",
        "tests/jobs/test_promote_vertical.py::test_a_run_killed_after_the_promotion_is_logged_by_the_next",
    ),
    Mutation(
        "a live day is run before it has ended",
        "jobs/plan_day.py",
        "<= config.source.last_day and not storage.open_until(config, day)",
        "<= config.source.last_day",
        "tests/jobs/test_plan_day.py",
    ),
    Mutation(
        "few clicks let a candidate be the first champion",
        "quality/gate.py",
        """kind == "none",""",
        "True,",
        "tests/quality/test_gate.py",
    ),
    Mutation(
        "a model's evidence is of days with another kind of champion",
        "quality/evidence.py",
        "[rows for rows in days if rows.champion_transfer == kind]",
        "list(days)",
        "tests/quality/test_evidence.py",
    ),
    Mutation(
        "trials of another search are told at their old level",
        "search/warm_start.py",
        "level = median(moved)",
        "level = 0.0",
        "tests/search/test_warm_start.py",
    ),
    Mutation(
        "shared weights learn the dates that trials are judged on",
        "search/shared_weights.py",
        "return dates[: -settings.judged_days]",
        "return dates",
        "tests/search/test_shared_weights.py::test_one_shot_reads_no_judged_date_and_its_models_are_the_trials",
    ),
    Mutation(
        "a screener keeps the worst",
        "search/samplers/screened.py",
        "np.argsort(-scores",
        "np.argsort(scores",
        "tests/search/samplers/test_given.py",
    ),
    Mutation(
        "what shared weights took is not counted",
        "search/study.py",
        "trained_flops(records) + self.shared_flops",
        "trained_flops(records)",
        "tests/search/test_shared_weights.py::test_one_shot_reads_no_judged_date_and_its_models_are_the_trials",
    ),
    Mutation(
        "after a change of architecture every candidate starts cold",
        "jobs/distill_vertical.py",
        "for version in chain(line, recent):",
        "for version in line:",
        "tests/jobs/test_distill_vertical.py",
    ),
    Mutation(
        "weights of another architecture are taken for a start",
        "jobs/distill_vertical.py",
        "for name, before, after in pairs if before != after)",
        "for name, before, after in pairs if before is after)",
        "tests/jobs/test_distill_vertical.py",
    ),
    Mutation(
        "under a low cap a policy begins at chance",
        "search/candidates.py",
        "if step == 0 and not seen and best:",
        "if step == 1 and not seen and best:",
        "tests/search/test_candidates.py",
    ),
    Mutation(
        "boosting learns the day it predicts",
        "benchmarks/studies/search_end_to_end/boosting.py",
        "before, now = table.days < day, table.days == day",
        "before, now = table.days <= day, table.days == day",
        "tests/benchmarks/studies/test_search_end_to_end.py",
    ),
    Mutation(
        "a calibration layer is fitted on the rows it is judged on",
        "training/calibration.py",
        "storage.committed_days(config, table) if earlier < day]",
        "storage.committed_days(config, table) if earlier <= day]",
        "tests/training/test_calibration.py",
    ),
    Mutation(
        "what is served has no calibration layer",
        "serving/vertical_model.py",
        "return self.calibration.apply(self.uncalibrated(rows))",
        "return self.uncalibrated(rows)",
        "tests/serving/test_vertical_model.py",
    ),
    Mutation(
        "all anonymous rows are one user to Spark",
        "data/features/point_in_time.py",
        "pc.fill_null(pc.not_equal(array[1:], array[:-1]), True)",
        "pc.fill_null(pc.not_equal(array[1:], array[:-1]), False)",
        "tests/own_log/test_anonymous.py::test_nobody_has_no_history_no_counts_and_no_snapshot",
    ),
    Mutation(
        "nobody has a history of codes",
        "data/fm_history.py",
        "rows = rows[log.users.is_valid().to_numpy(zero_copy_only=False)[rows]]",
        "pass",
        LOGGED_ROWS,
    ),
    Mutation(
        "all anonymous rows are one user in gAUC and intervals",
        "quality/metrics.py",
        "len(known) + np.arange(len(nobody))",
        "len(known)",
        "tests/own_log/test_anonymous.py::test_nobody_is_as_many_users_as_rows_in_figures",
    ),
    Mutation(
        "a file without the user column is anonymous traffic",
        "data/sources/files.py",
        'if "user_id" not in rows.columns:',
        "if False:",
        "tests/own_log/test_anonymous.py::test_what_is_no_user_id_for_another_reason_stays_in_quarantine",
    ),
    Mutation(
        "a file of another day is late",
        "data/sources/files.py",
        "parts = ((day, of_day(config, path, rows, known, day)) for day in days)",
        "parts = ((day, rows) for day in days)",
        "tests/own_log/test_late_files.py::test_of_a_file_that_grows_only_the_days_whose_rows_have_changed_are_late",
    ),
    Mutation(
        "what a later day knows of a file is read again by every plan",
        "data/sources/files.py",
        "if key not in known:",
        "if True:",
        "tests/own_log/test_late_files.py::test_a_file_is_opened_until_some_day_knows_it",
    ),
    Mutation(
        "a day whose midnight is skipped begins too late",
        "storage/days.py",
        "range(min(last, other), last + 1)",
        "range(last, last + 1)",
        "tests/storage/test_days.py::test_every_local_date_is_one_day_of_its_own_length",
    ),
    Mutation(
        "a look back misses the hour before a day of 23 hours",
        "storage/days.py",
        "day - timedelta(days=days + 1)",
        "day - timedelta(days=days)",
        "tests/storage/test_days.py::test_a_look_back_of_days_reaches_every_day_that_its_hours_reach",
    ),
    Mutation(
        "a time with Z is taken for a local one",
        "data/validation.py",
        'here.zip_with(~read["in_utc"].fill_null(False), instants("UTC"))',
        "here",
        "tests/own_log/test_time_zone.py::test_times_with_an_offset_are_themselves",
    ),
    Mutation(
        "attention forgets what slot and candidate share",
        "models/layers/history.py",
        " + (q @ shared_k).transpose(1, 2) @ slots.shared.mT  #",
        "  #",
        "tests/models/layers/test_history.py::test_a_user_with_many_candidates_is_as_many_users_with_one",
    ),
    Mutation(
        "scores of a batch stay in the order of its users",
        "serving/vertical_model.py",
        "probabilities[rows.ravel()] = ",
        "probabilities[: rows.size] = ",
        "tests/serving/test_request_scorer.py tests/serving/test_scorer.py",
    ),
    Mutation(
        "an item in memory is never read again",
        "serving/item_cache.py",
        "self.expires.get(name, now) <= now]",
        "name not in self.rows]",
        "tests/serving/test_item_cache.py",
    ),
    Mutation(
        "waiting requests are scored one by one",
        "serving/batching.py",
        "len(batch) < self.limits.requests",
        "len(batch) < 1",
        "tests/serving/test_batching.py",
    ),
    Mutation(
        "running and failed trials are asked again",
        "search/samplers/unasked.py",
        "for trial in question.history}",
        'for trial in question.history if trial.status == "done"}',
        f"{SAMPLERS}::test_nothing_is_asked_twice_until_nothing_is_left",
    ),
    Mutation(
        "equal models have different keys",
        "search/space.py",
        "json.dumps(self.canonical(params), ",
        "json.dumps(dict(params), ",
        "tests/search/test_space.py::test_equal_models_have_equal_keys",
    ),
    Mutation(
        "old trials stay in the population",
        "search/samplers/evolution.py",
        "done[-self.population :]",
        "done",
        f"{SAMPLERS}::test_only_living_parents_have_children",
    ),
    Mutation(
        "a fallback of TPE has no tag",
        "search/samplers/tpe.py",
        "[FALLBACK] * (refused == ASKED_AGAIN)",
        "[]",
        f"{SAMPLERS}::test_tpe_draws_at_random_where_it_repeats_itself_and_says_so",
    ),
    Mutation(
        "the predictor does not learn where trials fail",
        "search/samplers/predictor.py",
        "FAILURE if failed.any() else 0.0",
        "0.0",
        f"{SAMPLERS}::test_where_trials_failed_the_predictor_asks_less",
    ),
    Mutation(
        "a failed trial counts as the best",
        "search/bayes/surrogate.py",
        "(max(seen) if label is None",
        "(min(seen) if label is None",
        f"{BAYESIAN}::test_what_failed_counts_as_the_worst",
    ),
    Mutation(
        "fantasies are mixed up with restarts",
        "search/bayes/tree.py",
        "model.train_targets.max(-1, keepdim=True)",
        "model.train_targets.max(-1)",
        LOOKAHEAD,
    ),
    Mutation(
        "what is observed leaves as much unknown",
        "search/bayes/finite.py",
        "[..., None, :] - slope.square()",
        "[..., None, :] + 0 * slope",
        LOOKAHEAD,
    ),
    Mutation(
        "cells are taken to err by themselves",
        "search/bayes/quadrature.py",
        "shares[rest] @ cov[np.ix_(rest, rest)] @ shares[rest]",
        "(shares[rest] ** 2) @ cov.diagonal()[rest]",
        "tests/search/bayes/test_quadrature.py",
    ),
    Mutation(
        "means of few rows count for as much",
        "search/bayes/quadrature.py",
        "pooled / np.maximum(rows, 1.0)",
        "pooled / np.maximum(rows, 1.0).mean() + 0 * rows",
        "tests/search/bayes/test_quadrature.py::test_means_of_few_rows_count_for_less",
    ),
    Mutation(
        "a process's mean is known",
        "search/bayes/quadrature.py",
        " + np.outer(beside, beside) / precision)",
        ")",
        "tests/search/bayes/test_quadrature.py",
    ),
    Mutation(
        "a process's scale is learnt from one value more",
        "search/bayes/quadrature.py",
        "0.0) / (len(cells) - 1)",
        "0.0) / len(cells)",
        "tests/search/bayes/test_quadrature.py",
    ),
    Mutation(
        "a slow decision's fallback has no tag",
        "search/samplers/bayesian.py",
        "slow = True",
        "slow = False",
        f"{BAYESIAN}::test_looking_ahead_for_too_long_is_a_tagged_fallback_to_the_greedy_decision",
    ),
    Mutation(
        "a curve is not extended",
        "search/curves.py",
        "(len(points) - 1 + windows - len(curve))",
        "(len(points) - 1)",
        "tests/search/test_curves.py::test_a_curve_goes_on_along_the_line_of_its_last_points",
    ),
    Mutation(
        "policies learn the worst",
        "search/candidates.py",
        "loss = -((rewards - baseline)",
        "loss = ((rewards - baseline)",
        "tests/search/test_candidates.py::test_reinforce_reaches_the_best_of_a_separable_reward",
    ),
    Mutation(
        "an edge is decided by a state that knows it",
        "search/latent/decoder.py",
        "of_each.cumsum(1) - of_each",
        "of_each.cumsum(1)",
        f"{LATENT}/test_vae.py",
    ),
    Mutation(
        "edges are asked for from the earliest node on",
        "search/latent/decoder.py",
        "range(place - 1, 0, -1)",
        "range(1, place)",
        f"{LATENT}/test_vae.py",
    ),
    Mutation(
        "a drawn graph has two nodes of a group",
        "search/latent/decoder.py",
        "taken = taken | self._same_group(types[:, place])",
        "taken = self._same_group(types[:, place])",
        f"{LATENT}/test_vae.py",
    ),
    Mutation(
        "padding stands for the whole graph",
        "search/latent/encoder.py",
        "self._states(graphs, 0)[rows, ends]",
        "self._states(graphs, 0)[rows, -1]",
        f"{LATENT}/test_vae.py",
    ),
    Mutation(
        "messages that go backward read the edges forward",
        "search/latent/encoder.py",
        "(graphs.edges.transpose(1, 2) if way else graphs.edges)",
        "graphs.edges",
        f"{LATENT}/test_vae.py",
    ),
    Mutation(
        "training draws all of the noise",
        "search/latent/vae.py",
        "mean + NOISE * noise",
        "mean + noise",
        f"{LATENT}/test_vae.py",
    ),
    Mutation(
        "candidates of one user ask each other's questions",
        "models/layers/history_attention.py",
        ".unflatten(0, (len(steps), -1)).flatten(1, 2)",
        ".unflatten(0, (-1, len(steps))).transpose(0, 1).flatten(1, 2)",
        "tests/models/layers/test_history_attention.py",
    ),
    Mutation(
        "the newest step lies where the queries do",
        "models/layers/history_attention.py",
        "torch.arange(1, steps.shape[1] + 1,",
        "torch.arange(steps.shape[1],",
        "tests/models/layers/test_history_attention.py",
    ),
    Mutation(
        "the shortcut of an ensemble is free",
        "models/graphs/operations.py",
        "return 2 * n * n * e + 4 * n * e * self.rank + mapped + shortcut",
        "return 2 * n * n * e + 4 * n * e * self.rank + mapped",
        "tests/models/architectures/test_graph.py",
    ),
    Mutation(
        "the head does not read the tokens that ask the history",
        "search/spaces/ranking.py",
        """    if params["asks"] and "asks" not in outputs:
        outputs.append("asks")
""",
        "",
        "tests/search/spaces/test_ranking.py",
    ),
    Mutation(
        "an ensemble is normalised twice",
        "search/spaces/ranking.py",
        'norm = op != "ensemble"',
        'norm = op != "nothing"',
        "tests/search/spaces/test_ranking.py",
    ),
    Mutation(
        "tokens that ask the history are drawn as inputs read again",
        "search/spaces/ranking.py",
        ' for name in outputs if name != "asks"):',
        " for name in outputs):",
        "tests/search/spaces/test_ranking.py",
    ),
    Mutation(
        "a supernet searches what it has no weights for",
        "search/supernet/options.py",
        "tuple(value for value in choice.values if value not in STAND_INS)",
        "choice.values",
        "tests/search/supernet/test_options.py",
    ),
    Mutation(
        "a model's shape is judged by another's",
        "search/screeners.py",
        "chosen = [options.alike(params) for params in models]",
        "chosen = [options.nearest(params) for params in models]",
        "tests/search/test_shared_weights.py",
    ),
    Mutation(
        "a supernet takes tokens that ask the history",
        "search/supernet/options.py",
        'if self.fixed.get("asks"):',
        'if self.fixed.get("nothing"):',
        "tests/search/supernet/test_options.py",
    ),
    Mutation(
        "what reads the network's inputs again is not drawn",
        "search/spaces/ranking.py",
        "            head += again\n",
        "            pass\n",
        f"{LATENT}/test_drawing.py",
    ),
    Mutation(
        "a random answer of the latent space has no tag",
        "search/samplers/latent.py",
        "() if found else {FALLBACK}",
        "()",
        "tests/search/samplers/test_latent.py",
    ),
    Mutation(
        "the latent space is learnt for every answer",
        "search/latent/embedding.py",
        "if kept is not None and kept.exists():",
        "if kept is not None and False:",
        "tests/search/samplers/test_latent.py",
    ),
]


def main(names: list[str]) -> int:
    """Tries mutations; all where none is named. Returns the exit status."""
    unknown = set(names) - {mutation.name for mutation in MUTATIONS}
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; known: {'; '.join(m.name for m in MUTATIONS)}")
        return 1
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED, symlinks=True)
        every_test = list(dict.fromkeys(test for mutation in chosen for test in mutation.tests.split()))
        if _pytest(tree, every_test):
            print("the tests fail without a mutation")
            return 1
        outcomes = [_try(tree, mutation) for mutation in chosen]
    print(f"{outcomes.count('killed')} of {len(outcomes)} killed")
    return int(outcomes != ["killed"] * len(outcomes))


def _try(tree: Path, mutation: Mutation) -> str:
    """Tells what became of a mutation; leaves the tree as it was."""
    path = tree / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        result = "not found once"
    else:
        path.write_text(text.replace(mutation.old, mutation.new))
        result = {0: "SURVIVED", 1: "killed"}.get(_pytest(tree, mutation.tests.split()), "ERROR: no test ran")
        path.write_text(text)
    print(f"{result}: {mutation.name} ({mutation.file})", flush=True)
    return result


def _pytest(tree: Path, tests: list[str]) -> int:
    """Returns the exit status of pytest: 0 all passed, 1 a test failed, else it could not run."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=tree, stdout=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
