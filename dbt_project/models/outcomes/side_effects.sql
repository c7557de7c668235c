with

decisions as (

    select * from {{ ref('treatment_outcomes') }}

),

complaints as (

    select distinct decisions.entry_id
    from decisions
    inner join {{ ref('int_tickets_timed') }} as tickets
        on
            decisions.customer_id = tickets.customer_id
            and tickets.is_complaint
            and decisions.as_of <= tickets.opened_date
            and decisions.outcome_until > tickets.opened_date

),

-- what a contact person of a company withdraws counts for the company
withdrawals as (

    select
        coalesce(contacts.account_id, consents.customer_id) as customer_id,
        consents.changed_date
    from {{ ref('stg_consents') }} as consents
    left join {{ ref('int_contacts') }} as contacts on consents.customer_id = contacts.customer_id
    where
        not consents.is_granted
        and lower(consents.purpose) = 'marketing'

),

opt_outs as (

    select distinct decisions.entry_id
    from decisions
    inner join withdrawals
        on
            decisions.customer_id = withdrawals.customer_id
            and decisions.as_of <= withdrawals.changed_date
            and decisions.outcome_until > withdrawals.changed_date

),

seen as (

    select
        decisions.entry_id,
        decisions.as_of,
        decisions.customer_id,
        decisions.strategy_id,
        decisions.planned_strategy_id,
        decisions.arm,
        decisions.event,
        decisions.outcome_until,
        decisions.is_mature,
        case when decisions.is_mature then {{ when_connected(['tickets'], '(complaints.entry_id is not null)') }} end
            as complaints,
        case when decisions.is_mature then {{ when_connected(['consents'], '(opt_outs.entry_id is not null)') }} end
            as opt_outs,
        {{ when_connected(['orders'], policy('clv', 'gross_margin') ~ ' * ' ~ policy('clv', 'revenue_share') ~ ' * decisions.amount_spent_after') }}
            as margin
    from decisions
    left join complaints on decisions.entry_id = complaints.entry_id
    left join opt_outs on decisions.entry_id = opt_outs.entry_id

)

select * from seen
