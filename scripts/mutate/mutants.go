package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A mutant is a file with one small fault.
type mutant struct {
	src        []byte // the file without the fault
	file       string // path
	line       int
	function   string // the one that it is in
	inBody     bool   // of a function that others may call, and that has no type parameters
	place      block  // what is replaced
	around     block  // the body
	start, end int    // offsets in src of what is replaced
	with       string
}

// swaps are the operators that are replaced by others.
var swaps = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	token.SHL: token.SHR, token.SHR: token.SHL, token.AND: token.OR, token.OR: token.AND,
	token.INC: token.DEC, token.DEC: token.INC, token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK,
}

// mutants returns all mutants of a file. Some of them do not build.
func mutants(path string) ([]mutant, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, src: src, fset: token.NewFileSet()}
	tree, err := parser.ParseFile(f.fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.PreorderStack(tree, nil, func(n ast.Node, above []ast.Node) bool {
		f.visit(n, above)
		return true
	})
	return f.found, nil
}

// file is a file while its mutants are being found.
type file struct {
	path     string
	src      []byte
	fset     *token.FileSet
	function string
	body     *ast.BlockStmt // of the function, if its mutants may be inBody
	found    []mutant
}

func (f *file) offset(p token.Pos) int { return f.fset.Position(p).Offset }

func (f *file) block(from, to token.Pos) block {
	a, b := f.fset.Position(from), f.fset.Position(to)
	return block{filepath.Base(f.path), place{a.Line, a.Column}, place{b.Line, b.Column}}
}

func (f *file) text(n ast.Node) string { return string(f.src[f.offset(n.Pos()):f.offset(n.End())]) }

// add adds a mutant that has something else from one position to another.
func (f *file) add(from, to token.Pos, with string) {
	m := mutant{
		src: f.src, file: f.path, line: f.fset.Position(from).Line, function: f.function,
		place: f.block(from, to), start: f.offset(from), end: f.offset(to), with: with,
	}
	if f.body != nil && f.body.Lbrace < from && to <= f.body.Rbrace {
		m.inBody, m.around = true, f.block(f.body.Lbrace, f.body.Rbrace)
	}
	f.found = append(f.found, m)
}

// swap adds a mutant with another operator, if there is one.
func (f *file) swap(at token.Pos, op token.Token) {
	if other, ok := swaps[op]; ok {
		f.add(at, at+token.Pos(len(op.String())), other.String())
	}
}

// negate adds a mutant with the opposite of a condition, if swap does not do that.
func (f *file) negate(cond ast.Expr) {
	if b, ok := cond.(*ast.BinaryExpr); cond != nil && !(ok && (b.Op == token.EQL || b.Op == token.NEQ)) {
		f.add(cond.Pos(), cond.End(), "!("+f.text(cond)+")")
	}
}

// remove adds a mutant without a statement, if that is one of a block.
func (f *file) remove(n ast.Node, above []ast.Node) {
	switch above := above[len(above)-1].(type) {
	case *ast.BlockStmt, *ast.CaseClause:
		f.add(n.Pos(), n.End(), "")
	case *ast.CommClause:
		if above.Comm != n {
			f.add(n.Pos(), n.End(), "")
		}
	}
}

// visit adds the mutants of n itself, without those of what is in it.
func (f *file) visit(n ast.Node, above []ast.Node) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		f.function = n.Name.Name
		if n.Recv != nil {
			f.function = strings.TrimPrefix(f.text(n.Recv.List[0].Type), "*") + "." + n.Name.Name
		}
		if f.body = n.Body; n.Type.TypeParams != nil || slices.Contains([]string{"init", "main", "_"}, n.Name.Name) {
			f.body = nil
		}
		if n.Body != nil && len(n.Body.List) > 1 {
			f.add(n.Body.Lbrace+1, n.Body.Lbrace+1, " return "+strings.Join(f.zeros(n.Type), ", ")+";")
		}
	case *ast.GenDecl:
		if len(above) == 1 {
			f.function, f.body = n.Tok.String(), nil
		}
	case *ast.BinaryExpr:
		f.swap(n.OpPos, n.Op)
	case *ast.IfStmt:
		f.negate(n.Cond)
	case *ast.ForStmt:
		f.negate(n.Cond)
	case *ast.RangeStmt:
		f.add(n.Body.Lbrace+1, n.Body.Lbrace+1, " break;")
	case *ast.CaseClause:
		if s, ok := above[len(above)-2].(*ast.SwitchStmt); ok && s.Tag == nil {
			for _, cond := range n.List {
				f.negate(cond)
			}
		}
		f.add(n.Pos(), n.End(), "")
	case *ast.CommClause:
		f.add(n.Pos(), n.End(), "")
	case *ast.IncDecStmt:
		f.swap(n.TokPos, n.Tok)
		f.remove(n, above)
	case *ast.AssignStmt:
		if f.swap(n.TokPos, n.Tok); n.Tok != token.DEFINE {
			f.remove(n, above)
		}
	case *ast.BranchStmt:
		f.swap(n.TokPos, n.Tok)
		f.remove(n, above)
	case *ast.ExprStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt:
		f.remove(n, above)
	case *ast.BasicLit:
		r, ok := above[len(above)-1].(*ast.ReturnStmt)
		if n.Kind == token.INT && !(ok && len(r.Results) > 1 && n.Value == "0") { // that counts for nothing
			if value, err := strconv.ParseInt(n.Value, 0, 64); err == nil && value > 20 {
				f.add(n.Pos(), n.End(), "("+n.Value+" * 2)") // 101 ms are as good as 100
			} else {
				f.add(n.Pos(), n.End(), "("+n.Value+" + 1)")
				f.add(n.Pos(), n.End(), "("+n.Value+" - 1)")
			}
		}
	case *ast.Ident:
		if n.Name == "true" || n.Name == "false" {
			f.add(n.Pos(), n.End(), "!"+n.Name)
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			f.add(n.Pos(), n.X.Pos(), "")
		}
	case *ast.ReturnStmt:
		f.returns(n, above)
	}
}

// returns adds mutants that return the opposite bool, and otherwise a zero value.
func (f *file) returns(n *ast.ReturnStmt, above []ast.Node) {
	var zeros []string
	for _, a := range above { // the innermost function counts
		switch a := a.(type) {
		case *ast.FuncDecl:
			zeros = f.zeros(a.Type)
		case *ast.FuncLit:
			zeros = f.zeros(a.Type)
		}
	}
	if len(n.Results) == 0 || len(n.Results) != len(zeros) {
		f.remove(n, above)
		return
	}
	for i, e := range n.Results {
		switch text := f.text(e); {
		case slices.Contains([]string{"nil", "0", `""`, "true", "false"}, text) || strings.HasSuffix(text, "{}"):
			// It is zero, or another mutant has it.
		case zeros[i] == "*new(bool)":
			f.negate(e)
		default:
			f.add(e.Pos(), e.End(), zeros[i])
		}
	}
}

// zeros returns expressions for the zero values of all that a function returns.
func (f *file) zeros(t *ast.FuncType) (zeros []string) {
	if t.Results != nil {
		for _, field := range t.Results.List {
			zeros = append(zeros, slices.Repeat([]string{"*new(" + f.text(field.Type) + ")"}, max(1, len(field.Names)))...)
		}
	}
	return zeros
}

// source returns the file with the fault.
func (m *mutant) source() []byte {
	return slices.Concat(m.src[:m.start], []byte(m.with), m.src[m.end:])
}

// String returns what identifies m, wherever it stands in its file: the function,
// and the lines without and with the fault, but not their blanks and comments.
func (m *mutant) String() string {
	src := string(m.src)
	start := strings.LastIndexByte(src[:m.start], '\n') + 1
	end := m.end + strings.IndexByte(src[m.end:]+"\n", '\n')
	squeeze := func(text string) string {
		var words []string
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "//")
			words = append(words, strings.Fields(line)...)
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprintf("%s: %s: %s => %s", m.file, m.function, squeeze(src[start:end]), squeeze(src[start:m.start]+m.with+src[m.end:end]))
}
