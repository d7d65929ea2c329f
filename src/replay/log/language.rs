//! Messages in another language than English, which are told by their first words and read no further.

/// How servers in other languages begin what pgload looks for: durations, statements, executions.
#[rustfmt::skip]
const FOREIGN: &[&str] = &[
    "Dauer: ", "Anweisung: ", "ausführen ", "durée : ", "instruction : ", "exécute ", "exécution ", "duración: ", "sentencia: ", "ejecutar ",
    "durata: ", "istruzione: ", "esecuzione ", "duração: ", "comando: ", "executar ", "продолжительность: ", "оператор: ", "выполнение ",
    "期間: ", "文: ", "実行 ", "执行时间: ", "语句: ", "执行 ", "실행 시간: ", "명령 구문: ", "실행 ", "süre: ", "czas trwania: ", "wyrażenie: ",
    "varaktighet: ", "sats: ", "тривалість: ", "доба: ", "ხანგრძლივობა: ",
];

/// Whether a message says in another language than English what a statement's line says.
pub(super) fn foreign(message: &str) -> bool {
    FOREIGN.iter().any(|start| message.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translated_statement_lines_are_told_from_english_ones() {
        assert!(foreign("Dauer: 0.043 ms  Anweisung: select 1") && foreign("durée : 0.043 ms"));
        assert!(!foreign("duration: 0.043 ms") && !foreign("statement: select 1") && !foreign(""));
    }
}
