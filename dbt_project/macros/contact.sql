{# Of the latest consents of a customer, by purpose and channel: columns with the moment and the answer of each. #}
{% macro latest_consents() -%}
    {%- for purpose in policy('contact_rules', 'consent') -%}
        {%- set last_purpose = loop.last -%}
        {%- for channel in consent_channels() -%}
            {%- set holds = "purpose = '" ~ purpose ~ "' and channel = '" ~ channel ~ "'" -%}
            {%- set name = consent_column(purpose, channel) -%}
            max(changed_at) filter (where {{ holds }}) as {{ name }}_at,
        bool_or(is_granted) filter (where {{ holds }}) as {{ name }}
            {{- '' if last_purpose and loop.last else ',\n        ' }}
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}


{# How many contacts of the company's own a customer had in the days before the run. #}
{% macro contacts_within(days) -%}
    cast(coalesce(sum(count_touches) filter (where touch_date >= {{ days_before(as_of(), days) }}), 0) as bigint)
{%- endmacro %}


{% macro consent_column(purpose, channel) -%}
    {{ return((purpose ~ '_' ~ channel) | replace('-', '_') | replace(' ', '_')) }}
{%- endmacro %}


{# The channels that consents name for our channels, and `all`. #}
{% macro consent_channels() -%}
    {{ return((['all'] + policy('contact_rules', 'channels').values() | list) | unique | list) }}
{%- endmacro %}


{#
    The channels by which a customer may be contacted for a purpose, with commas between: the later of the consent for
    the channel and the one for all of them decides, the channel's own of the same moment, and the policy where there is
    none. Where no consents are connected, every channel is open.
#}
{% macro open_channels(purpose) -%}
    {%- set channels = policy('contact_rules', 'channels') -%}
    {%- if not is_connected('consents') -%}
    cast('{{ channels | join(',') }}' as varchar)
    {%- else -%}
    {%- set otherwise = 'true' if policy('contact_rules', 'consent')[purpose] == 'opt_out' else 'false' -%}
    {%- set every = consent_column(purpose, 'all') -%}
    cast(
            trim(
                leading ',' from concat(
                    {%- for channel, consent in channels.items() %}
                    {%- set own = consent_column(purpose, consent) %}
                    case
                        when coalesce(case when {{ own }}_at < {{ every }}_at then {{ every }} end, {{ own }}, {{ every }}, {{ otherwise }})
                            then ',{{ channel }}'
                        else ''
                    end{{ ',' if not loop.last }}
                    {%- endfor %}
                )
            )
            as varchar
        )
    {%- endif -%}
{%- endmacro %}


{# The names of those of the triggers' columns that hold, with commas between. #}
{% macro held_triggers(names) -%}
    cast(
            trim(
                leading ',' from concat(
                    {%- for name in names %}
                    case when {{ name }} then ',{{ name }}' else '' end{{ ',' if not loop.last }}
                    {%- endfor %}
                )
            )
            as varchar
        )
{%- endmacro %}
