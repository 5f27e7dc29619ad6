pub fn policy_test(_args: &crate::PolicyTestArgs, _terminal: &mut crate::Terminal<'_>) -> crate::Exit {
    crate::Exit::Passed
}
