{# Every day that must have a feature snapshot after the run, in order: the day of the run and those it is given besides. #}
{% macro wanted_snapshots() -%}
    {%- set besides = env_var('HOLDFAST_SNAPSHOTS', '') if execute else '' -%}
    {{ return((besides.split() + [run_day()]) | unique | sort) }}
{%- endmacro %}


{#
    The snapshots this run builds: those that are wanted and missing, those so young that late rows may belong to them, and
    always the snapshot of the run's own day.
    The answer rests on features.customer_features alone, which is written last: a run that was killed between
    the facts and the features starts the same snapshots again.
#}
{% macro snapshots_to_build() -%}
    {%- set wanted = wanted_snapshots() -%}
    {%- if not execute or flags.FULL_REFRESH -%}
        {{ return(wanted) }}
    {%- endif -%}
    {%- set features = adapter.get_relation(target.database, 'features', 'customer_features') -%}
    {%- if features is none or columns_that_differ(features, 'customer_features') -%}
        {{ return(wanted) }}
    {%- endif -%}
    {%- set found = run_query('select distinct cast(as_of as string) as as_of from ' ~ features).columns[0].values() | map('string') | list -%}
    {%- set as_of = modules.datetime.date.fromisoformat(run_day()) -%}
    {%- set settled = (as_of - modules.datetime.timedelta(days=cleaning('late_days'))).isoformat() -%}
    {%- set kept = found | reject('ge', settled) | list -%}
    {{ return(wanted | reject('in', kept) | list) }}
{%- endmacro %}


{#
    The snapshots as a relation of one column, as_of. The comments around it let the materialization `by_snapshot` put one
    snapshot in the place of all.
#}
{% macro snapshots() -%}
/* snapshots */
{{ snapshot_days(snapshots_to_build()) }}
/* snapshots */
{%- endmacro %}


{% macro snapshot_days(days) -%}
{%- for day in days %}
select cast('{{ day }}' as date) as as_of
{%- if not loop.last %}
union all
{%- endif -%}
{%- endfor %}
{%- endmacro %}


{# The columns that a table lacks of those its model declares, or has besides them. #}
{% macro columns_that_differ(relation, model_name) -%}
    {%- set declared = graph.nodes['model.holdfast.' ~ model_name].columns.keys() | list -%}
    {%- set present = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {{ return((declared | reject('in', present) | list) + (present | reject('in', declared) | list)) }}
{%- endmacro %}


{#
    A table built snapshot by snapshot, so that a year of them asks for as much memory as one, or by one query where the
    engine divides the rows itself. With `keeps_snapshots` the snapshots of earlier runs stay, and one that is built again
    takes its own place; without, the table holds those of this run alone. A column that the model declares anew is added:
    the run builds all the snapshots it needs.
#}
{% materialization by_snapshot, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set days = snapshots_to_build() -%}
    {%- set parts = compiled_code.split('/* snapshots */') -%}
    {%- set is_new = existing is none or should_full_refresh() or not config.get('keeps_snapshots', false) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if is_new and existing is not none -%}
        {%- do adapter.drop_relation(existing) -%}
    {%- elif not is_new -%}
        {%- do sync_declared_columns(target_relation, days) -%}
    {%- endif -%}
    {%- for part in ([days] if builds_snapshots_at_once() else days | batch(1)) -%}
        {%- if not loop.first -%}
            {#- what a transaction has not committed may lie in memory, so that each snapshot has one of its own -#}
            {%- do adapter.commit() -%}
        {%- endif -%}
        {%- set sql = parts[0] ~ snapshot_days(part) ~ parts[2] -%}
        {%- call statement('main') -%}
            {%- if is_new and loop.first -%}
            {{ create_table_as(False, target_relation, sql) }}
            {%- else -%}
            {{ replace_snapshot(target_relation, part[0], sql) }}
            {%- endif -%}
        {%- endcall -%}
    {%- endfor -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#
    Give a table the columns that its model declares, no more and no fewer. The snapshots that are built in this run go at
    once, so that a run that is killed among them does not leave one behind that lacks the new columns.
#}
{% macro sync_declared_columns(relation, days) -%}
    {%- set differing = columns_that_differ(relation, model.name) -%}
    {%- if differing -%}
        {%- set added, removed = [], [] -%}
        {%- for name in differing -%}
            {%- if name in model.columns -%}
                {%- do added.append(api.Column.create(name, model.columns[name].data_type)) -%}
            {%- else -%}
                {%- do removed.append(api.Column.create(name, 'varchar')) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do alter_relation_add_remove_columns(relation, added, removed) -%}
        {%- for day in days -%}
            {%- do run_query(forget_snapshot(relation, day)) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
