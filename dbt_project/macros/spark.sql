{#
    What the models need of Spark beyond its adapter for dbt; `engines.sql` has what the models themselves write
    differently. Parquet tables on Spark know no `delete`: every model but the histories is built as a whole.
#}


{#
    A table of Parquet files, whose columns are compared with the warehouse's: to ask for those of the contract would plan
    each query twice. by_snapshot has a folder for each snapshot, which is how one takes the place of another.
#}
{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') -%}
    {%- set sql = on_spark(compiled_code) -%}
    {%- if temporary -%}
    create or replace temporary view {{ relation }} as {{ sql }}
    {%- else -%}
    create table {{ relation }} using parquet
    {{ 'partitioned by (as_of)' if has_snapshots() }}
    as {{ sql }}
    {%- endif -%}
{%- endmacro %}


{% macro spark__create_view_as(relation, sql) -%}
    create or replace view {{ relation }} as {{ on_spark(sql) }}
{%- endmacro %}


{% macro spark__get_empty_schema_sql(columns) -%}
    {{ on_spark(default__get_empty_schema_sql(columns)) }}
{%- endmacro %}


{% macro spark__empty_table(address, columns) -%}
    {{ on_spark(default__empty_table(address, columns)) }}
{%- endmacro %}


{# Parquet tables hold no constraints; the tests of the models look at the same columns. #}
{% macro spark__persist_constraints(relation, model) -%}
{%- endmacro %}


{#
    A query in Spark's words. A text without a length is a `varchar` everywhere but there; and what Spark divides, or takes
    the mean of, stays a decimal of few digits, so that both begin with a double. It counts distinct values by reading the
    rows once more for each count, unless it collects them as sets. Texts in quotes stay as they are.
#}
{% macro on_spark(sql) -%}
    {%- set parts = [] -%}
    {%- set counted_once = 'count\\(distinct ([^()]+)\\)(\\s+filter \\(where [^()]*\\))?' -%}
    {%- for part in modules.re.sub('--[^\\n]*', '', sql).split("'") -%}
        {%- if loop.index0 % 2 == 0 -%}
            {%- set typed = modules.re.sub('\\bas\\s+varchar\\s*\\)', 'as string)', part) -%}
            {%- set divided = modules.re.sub('\\s/\\s', ' / 1D / ', typed) -%}
            {%- set averaged = modules.re.sub('\\bavg\\(', 'avg(1D * ', divided) -%}
            {%- do parts.append(modules.re.sub(counted_once, 'cast(size(collect_set(\\1)\\2) as bigint)', averaged)) -%}
        {%- else -%}
            {%- do parts.append(part) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(parts | join("'")) }}
{%- endmacro %}


{# Whether a model keeps its snapshots apart. #}
{% macro has_snapshots() -%}
    {{ return(config.get('materialized') == 'by_snapshot' or config.get('incremental_strategy') == 'insert_overwrite') }}
{%- endmacro %}


{# The adapter's own raise where a date is missing; a missing date plus some days is missing. #}
{% macro spark__dateadd(datepart, interval, from_date_or_timestamp) -%}
    {%- if datepart in ('month', 'quarter', 'year') -%}
    {{ from_date_or_timestamp }} + make_ym_interval(0, {{ interval }} * {{ {'month': 1, 'quarter': 3, 'year': 12}[datepart] }})
    {%- else -%}
    {{ from_date_or_timestamp }} + make_dt_interval({{ interval }} * {{ {'day': 1, 'week': 7}[datepart] }})
    {%- endif -%}
{%- endmacro %}


{# The boundaries between two moments, as DuckDB counts them. #}
{% macro spark__datediff(first_date, second_date, datepart) -%}
    {%- if datepart == 'day' -%}
    datediff({{ second_date }}, {{ first_date }})
    {%- elif datepart == 'month' -%}
    cast(12 * (year({{ second_date }}) - year({{ first_date }})) + month({{ second_date }}) - month({{ first_date }}) as bigint)
    {%- elif datepart == 'minute' -%}
    cast(floor(unix_seconds({{ second_date }}) / 60) - floor(unix_seconds({{ first_date }}) / 60) as bigint)
    {%- else -%}
        {{ exceptions.raise_compiler_error("The models count no " ~ datepart ~ " on Spark yet: add it in macros/spark.sql.") }}
    {%- endif -%}
{%- endmacro %}
