{#
    What leavers are grouped by, those of which the company knows anything: words of the customer, and figures in thirds.
    `digits` rounds the cut points; `en` and `zh` stand before the level in a sentence.
#}
{% macro leaver_dimensions() -%}
    {%- set found = {
        'age_band': {'en': 'age', 'zh': '年龄'},
        'level': {'en': 'level', 'zh': '等级'},
        'region': {'en': 'region', 'zh': '区域'},
        'income_band': {'en': 'income', 'zh': '收入'},
        'household': {'en': 'household', 'zh': '家庭'},
        'acquisition_channel': {'en': 'came through', 'zh': '来自'},
    } -%}
    {%- set measured = {
        'spend': {'needs': 'orders', 'digits': 0, 'en': 'spends a month', 'zh': '月消费'},
        'fee': {'needs': 'subscriptions', 'digits': 0, 'en': 'monthly fee', 'zh': '月费'},
        'contacts': {'needs': 'tickets', 'digits': 1, 'en': 'tickets a month', 'zh': '月工单'},
        'satisfaction': {'needs': 'tickets', 'digits': 1, 'en': 'satisfaction', 'zh': '满意度'},
        'activity': {'needs': 'events', 'digits': 0, 'en': 'active days a month', 'zh': '月活跃天数'},
        'tenure': {'needs': 'customers', 'digits': 1, 'en': 'years a customer', 'zh': '客户年数'},
    } -%}
    {%- for name, said in measured.items() if is_connected(said.needs) -%}
        {%- do said.update({'is_number': true}) -%}
        {%- do found.update({name: said}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# Every two and every three of some names. #}
{% macro pairs_and_triples(names) -%}
    {%- set found = [] -%}
    {%- for one in range(names | length) -%}
        {%- for two in range(one + 1, names | length) -%}
            {%- do found.append([names[one], names[two]]) -%}
            {%- for three in range(two + 1, names | length) -%}
                {%- do found.append([names[one], names[two], names[three]]) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# The level of one dimension, in words: a word as it is, a figure by the third it lies in. #}
{% macro leaver_level(name, said) -%}
    {%- if not said.is_number -%}
    coalesce(labelled.{{ name }}, 'unknown')
    {%- else -%}
    {%- set low, high = 'cut_points.' ~ name ~ '_low', 'cut_points.' ~ name ~ '_high' -%}
    {%- set shown = 'decimal(18, ' ~ said.digits ~ ')' -%}
    case
        when labelled.{{ name }} is null then 'unknown'
        when labelled.{{ name }} <= {{ low }} then concat('<= ', cast(cast({{ low }} as {{ shown }}) as varchar))
        when labelled.{{ name }} <= {{ high }}
            then concat(cast(cast({{ low }} as {{ shown }}) as varchar), ' to ', cast(cast({{ high }} as {{ shown }}) as varchar))
        else concat('> ', cast(cast({{ high }} as {{ shown }}) as varchar))
    end
    {%- endif -%}
{%- endmacro %}


{# The same level in Chinese. #}
{% macro leaver_level_zh(name) -%}
    case when {{ name }} = 'unknown' then '未知' else replace({{ name }}, ' to ', '至') end
{%- endmacro %}
