;;; tangle.el --- Tangle and run README.org in Emacs  -*- lexical-binding: t -*-

;; In batch, from any folder, with the README.org that stands beside this file:
;;
;;   emacs -Q --batch -l tangle.el -f literate-tangle-batch   write the program
;;   emacs -Q --batch -l tangle.el -f literate-run-batch      and run every block, as Org does
;;
;; While editing: M-x load-file RET tangle.el RET, or this line in your init file:
;;
;;   (load "/path/to/micrograd/tangle.el")
;;
;; Then, in README.org, C-c C-v t writes the program, and C-c C-c runs a block, from the first one
;; on, with .venv's Python and without asking.  No other Org file is affected.  (Without tangle.el,
;; Org leaves one blank line between blocks; `make' knows that file, and writes it anew.)
;;
;; A file that was edited by hand is not overwritten: `make detangle' takes the edit into README.org.

;;; Code:

(require 'org)
(require 'ob-tangle)
(require 'ob-python)

(defvar literate-documents nil "The documents which stand beside a copy of this file.")

(defconst literate--folder (file-name-directory (or load-file-name buffer-file-name))
  "Where this file and the package `literate' are.")

(define-minor-mode literate-mode
  "Tangle and run this Org buffer as `python -m literate' does."
  :lighter " Literate"
  (when literate-mode
    (setq-local org-src-preserve-indentation t
                indent-tabs-mode nil
                org-confirm-babel-evaluate nil
                file-precious-flag t    ; saved in one step
                org-babel-python-command (literate--python))))

(defun literate--python ()
  "The command for this folder's Python."
  (let ((own (expand-file-name ".venv/bin/python")))
    (combine-and-quote-strings
     (list (or (and (file-executable-p own) own)
               (seq-some #'executable-find (list (or (getenv "PYTHON") "") "python3" "python"))
               (user-error "There is no Python here: install it, 3.10 or newer"))))))

;; Tangling

(defun literate--check ()
  "Signal what `python -m literate' finds wrong with this buffer, as it would be saved."
  (let* ((coding-system-for-write buffer-file-coding-system)
         (process-environment
          (cons (concat "PYTHONPATH=" literate--folder) process-environment))
         (python (car (split-string-and-unquote (literate--python))))
         (name buffer-file-name)
         (said (generate-new-buffer " *literate*")))
    (unwind-protect
        (unless (equal 0 (call-process-region (point-min) (point-max) python nil said nil
                                              "-m" "literate" "accept" name))
          (user-error "%s" (with-current-buffer said (string-trim (buffer-string)))))
      (kill-buffer said))))

(defun literate--targets ()
  "The files that this document tangles to: a list of (NAME BODY ...), in order."
  (let (targets)
    (org-with-wide-buffer
     (org-babel-map-src-blocks nil
       (let* ((info (org-babel-get-src-block-info 'light))
              (name (cdr (assq :tangle (nth 2 info)))))
         (unless (member name '(nil "no"))
           (let ((body (org-trim (nth 1 info) t)))
             (unless (assoc name targets) (push (list name) targets))
             (nconc (assoc name targets) (list body)))))))
    (nreverse targets)))

(defun literate--join (bodies &optional between)
  "The file made of BODIES, with two blank lines, or BETWEEN, between them."
  (concat (mapconcat #'identity bodies (or between "\n\n\n")) "\n"))

(defun literate-tangle ()
  "Write the files which this document tangles to, where they differ.
Return the names of all."
  (interactive)
  (org-with-wide-buffer (literate--check))
  (let ((targets (literate--targets)))
    (mapc #'literate--protect targets)
    (dolist (target targets)
      (let ((file (file-truename (car target))) (text (literate--join (cdr target))))
        (message (if (literate--write file text) "wrote %s" "%s: nothing changed")
                 (file-relative-name file))
        (literate--write (literate--copy (car target)) text)))
    (mapcar #'car targets)))

(defun literate--copy (name)
  "The copy that is kept of the file NAME as it was tangled last, by `python -m literate' or here."
  (expand-file-name name ".literate/tangled"))

(defun literate--protect (target)
  "Signal an error, and show what would be lost, if the file TARGET was edited by hand.
It was not if it is as Org, or this document now, last time or in git's last commit, makes it."
  (let* ((name (car target))
         (new (literate--join (cdr target)))
         (plain (literate--join (cdr target) "\n\n"))
         (now (literate--text name))
         (before (and now (not (member now (list new plain)))
                      (seq-sort-by (lambda (old) (literate--apart old now)) #'<
                                   (literate--earlier name)))))
    (unless (member now (append (list nil new plain) before))
      (let ((line (literate--show-edit (or (car before) new) now name))
            (document (file-name-nondirectory buffer-file-name)))
        (user-error
         "%s" (if before
                  (format "%s:%d: was edited by hand; `make detangle` takes the edit into %s, and \
`git checkout %s`, or deleting it, throws the edit away; nothing was changed"
                          name line document name)
                (format "%s:%d: is not what %s makes, and neither git nor an earlier tangling can \
tell which was edited. If %s was, `make detangle` takes the edit into %s; if %s was, delete %s; \
nothing was changed"
                        name line document name document document name)))))))

(defun literate--earlier (name)
  "What the file NAME was tangled as last, and what it is by the document in git's last commit."
  (let ((last (literate--text (literate--copy name)))
        (document (concat "HEAD:./" (file-name-nondirectory buffer-file-name)))
        (coding-system-for-read 'utf-8-unix))
    (append
     (and last (list last))
     (with-temp-buffer
       (when (eq 0 (ignore-errors (process-file "git" nil '(t nil) nil "show" document)))
         (delay-mode-hooks (org-mode))
         (setq-local org-src-preserve-indentation t)
         (let ((target (assoc name (ignore-errors (literate--targets)))))
           (and target (list (literate--join (cdr target))))))))))

(defun literate--apart (old new)
  "How many lines OLD and NEW do not share.
The earlier version that is nearest to a file is the one that was edited."
  (let ((was (split-string old "\n")) (is (split-string new "\n")))
    (+ (seq-count (lambda (line) (not (member line is))) was)
       (seq-count (lambda (line) (not (member line was))) is))))

(defun literate--newline-p (char) (= char ?\n))

(defun literate--show-edit (old new name)
  "Show how the text NEW of the file NAME differs from OLD; return the number of the first line."
  (let ((was (make-temp-file "literate-" nil nil old))
        (is (make-temp-file "literate-" nil nil new)))
    (unwind-protect
        (with-current-buffer (get-buffer-create (format "*edits in %s*" name))
          (erase-buffer)
          (ignore-errors (process-file "diff" nil t nil "-u" "-L" "README.org" "-L" name was is))
          (diff-mode)
          (if noninteractive (message "%s" (buffer-string)) (display-buffer (current-buffer))))
      (delete-file was)
      (delete-file is))
    (let ((same (substring new 0 (1- (abs (compare-strings old nil nil new nil nil))))))
      (max 1 (min (1+ (seq-count #'literate--newline-p same))
                  (seq-count #'literate--newline-p new))))))

(defun literate--write (file text)
  "Let FILE hold TEXT.  Do it in one step, and only if it does not hold it: then return t."
  (unless (equal text (literate--text file))
    (make-directory (file-name-directory file) t)
    (let ((coding-system-for-write 'utf-8-unix)
          (temporary (make-temp-name (concat file ".")))
          (modes (or (file-modes file) (default-file-modes))))
      (unwind-protect
          (progn (write-region text nil temporary nil 'silent)
                 (set-file-modes temporary (logand modes #o666))
                 (rename-file temporary file t))
        (when (file-exists-p temporary) (delete-file temporary))))
    t))

(defun literate--tangle (original &rest arguments)
  "In a document, tangle all of it; elsewhere call ORIGINAL with its ARGUMENTS."
  (if literate-mode (literate-tangle) (apply original arguments)))

(advice-add 'org-babel-tangle :around #'literate--tangle)

;; Running

(defconst literate--run "
def __literate_run(body, failure, noise, name, line, valued):
    import ast, os, sys, traceback
    print('literate_begin')
    stderr = os.dup(2)
    with open(noise, 'w') as file:
        os.dup2(file.fileno(), 2)
    try:
        with open(body, encoding='utf-8') as file:
            tree = ast.parse('\\n' * line + file.read(), name)
        last = tree.body.pop() if valued and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, 'exec'), globals())
        if last:
            return eval(compile(ast.Expression(last.value), name, 'eval'), globals())
    except BaseException as error:
        frame = error.__traceback__.tb_next
        while frame and frame.tb_frame.f_code.co_filename != name:
            frame = frame.tb_next
        rows = [n for f, n in traceback.walk_tb(frame) if f.f_code.co_filename == name]
        number = rows[-1] if rows else getattr(error, 'lineno', None) or line
        what = traceback.format_exception_only(type(error), error)[-1].strip()
        trace = ''.join(traceback.format_exception(type(error), error, frame))
        with open(failure, 'w', encoding='utf-8') as file:
            file.write(f'{number}\\n{what}\\n{trace}')
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
__literate_run(%S, %S, %S, %S, %d, %s)
" "What Org is given to run in place of a block.
Org would go on after an error, and take stderr for a part of the result.")

(defun literate--await-prompt (session)
  "Wait for the first prompt in SESSION: python.el swallows all before it."
  (with-current-buffer session
    (let ((process (get-buffer-process session)) (tries 300))
      (while (and (not (bound-and-true-p python-shell--first-prompt-received))
                  (process-live-p process) (> (setq tries (1- tries)) 0))
        (accept-process-output process 0.1)))))

(defun literate--output (result)
  "The RESULT without what Python printed before the block: a prompt may come late."
  (if (and (stringp result) (string-match "literate_begin\n?" result))
      (substring result (match-end 0))
    result))

(defun literate--text (file)
  "The text of FILE, or nil if there is none."
  (when (file-exists-p file)
    (let ((coding-system-for-read 'utf-8-unix))
      (with-temp-buffer (insert-file-contents file) (buffer-string)))))

(defun literate--execute (original body params)
  "Run BODY with PARAMS by ORIGINAL.  In a document, signal what Python raises."
  (if (not literate-mode)
      (funcall original body params)
    (let* ((bin (expand-file-name ".venv/bin"))
           (exec-path (if (file-directory-p bin) (cons bin exec-path) exec-path))
           (process-environment
            (append (list (concat "PATH=" (mapconcat #'identity exec-path path-separator))
                          "PYTHONUTF8=1")
                    process-environment))
           (coding-system-for-read 'utf-8-unix)
           (coding-system-for-write 'utf-8-unix)
           (python-shell-completion-native-enable nil)
           (name (file-name-nondirectory buffer-file-name))
           (line (line-number-at-pos org-babel-current-src-block-location t))
           (valued (if (member "file" (cdr (assq :result-params params))) "True" "False"))
           (source (org-babel-temp-file "literate-"))
           (failure (org-babel-temp-file "literate-"))
           (noise (org-babel-temp-file "literate-"))
           (run (format literate--run source failure noise name line valued)))
      (make-directory "images" t)
      (unwind-protect
          (progn
            (with-temp-file source (insert body))
            (literate--await-prompt (org-babel-python-initiate-session
                                     (cdr (assq :session params))))
            (prog1 (literate--output (funcall original run params))
              (let ((said (literate--text noise))
                    (error (split-string (literate--text failure) "\n")))
                (unless (equal said "") (message "%s" said))
                (when (cdr error)
                  (message "%s" (mapconcat #'identity (cddr error) "\n"))
                  (user-error "%s:%s: %s" name (car error) (cadr error))))))
        (mapc #'delete-file (list source failure noise))))))

(advice-add 'org-babel-execute:python :around #'literate--execute)

(defun literate-run-above ()
  "Run every block above the cursor, from the first one on, but not the one that it is in."
  (interactive)
  (save-excursion
    (save-restriction
      (let ((end (or (org-babel-where-is-src-block-head) (line-beginning-position))))
        (widen)
        (narrow-to-region (point-min) end)
        (org-babel-execute-buffer)))))

;; In batch

(defun literate--batch (action)
  "Open the document, call ACTION there; on an error say it and exit with status 1."
  (condition-case failure
      (let ((enable-local-variables :safe) (enable-local-eval nil))
        (with-current-buffer (find-file-noselect (expand-file-name "README.org" literate--folder))
          (funcall action)))
    (error (message "%s" (error-message-string failure))
           (kill-emacs 1))))

(defun literate-tangle-batch ()
  "Tangle README.org."
  (literate--batch #'literate-tangle))

(defun literate-run-batch ()
  "Tangle README.org, run every block, save the results."
  (literate--batch (lambda () (literate-tangle) (org-babel-execute-buffer) (save-buffer))))

;; The buffers that are open when this file is loaded, and those opened later.

(defun literate--setup ()
  "Turn on `literate-mode' in the buffer of a document."
  (when (and buffer-file-name (member (file-truename buffer-file-name) literate-documents))
    (literate-mode)))

(add-to-list 'literate-documents (file-truename (expand-file-name "README.org" literate--folder)))
(add-hook 'org-mode-hook #'literate--setup)
(dolist (buffer (buffer-list))
  (with-current-buffer buffer
    (when (derived-mode-p 'org-mode) (literate--setup))))

(provide 'tangle)
;;; tangle.el ends here
